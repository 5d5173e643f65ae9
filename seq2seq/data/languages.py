"""Languages by their codes and names: finds them in header cells, column names and file names.

Why: metrics depend on the languages, which e.g. the column `deu` and the file `corpus.de-en.tsv` name. No
maintained library maps codes and names without megabytes of data.
"""

from __future__ import annotations

import re
import unicodedata

# Words of a heading beside the language: source_de, German text, sentence_deu_Latn
HEADINGS = {"source", "target", "src", "trg", "tgt", "original", "translation", "translated", "input"}
HEADINGS |= {"output", "reference", "ref", "text", "texts", "sentence", "sentences", "segment", "string"}
HEADINGS |= {"language", "lang", "column", "quelle", "ziel", "quelltext", "zieltext", "原文", "译文", "譯文"}

# Code, codes with the same meaning (ISO 639-2 and 639-3, members of a macrolanguage, country codes in
# frequent use), names in English and in the language itself, and the usual script where it is not Latn
# ("-": none is usual, the script is always kept).
TABLE = """
aa|aar|Afar|
ab|abk|Abkhaz,Abkhazian,Аԥсуа|Cyrl
af|afr|Afrikaans|
ak|aka,twi,tw|Akan,Twi|
am|amh|Amharic,አማርኛ|Ethi
an|arg|Aragonese,Aragonés|
ar|ara,arb|Arabic,Modern Standard Arabic,العربية,عربي,عربية,阿拉伯语|Arab
as|asm|Assamese,অসমীয়া|Beng
av|ava|Avar,Avaric,Авар|Cyrl
ay|aym,ayr|Aymara,Aymar|
az|aze,azj|Azerbaijani,Azeri,Azərbaycanca,Azərbaycan dili|
ba|bak|Bashkir,Башҡорт,Башҡортса|Cyrl
be|bel|Belarusian,Belorussian,Беларуская,Беларуская мова|Cyrl
bg|bul|Bulgarian,Български,Български език|Cyrl
bi|bis|Bislama|
bm|bam|Bambara,Bamanankan|
bn|ben|Bengali,Bangla,বাংলা|Beng
bo|bod,tib|Tibetan,བོད་ཡིག,བོད་སྐད|Tibt
br|bre|Breton,Brezhoneg|
bs|bos|Bosnian,Bosanski|
ca|cat|Catalan,Valencian,Català|
ce|che|Chechen,Нохчийн|Cyrl
ch|cha|Chamorro,Chamoru|
co|cos|Corsican,Corsu|
cs|ces,cze,cz|Czech,Čeština,Český,Česky|
cv|chv|Chuvash,Чӑваш,Чӑвашла|Cyrl
cy|cym,wel|Welsh,Cymraeg|
da|dan,dk|Danish,Dansk|
de|deu,ger|German,Deutsch,Allemand,Alemán,Alemão,Tedesco,Duits,Tyska,Tysk,Немецкий,德语,德文,ドイツ語,독일어|
dv|div|Dhivehi,Divehi,Maldivian,ދިވެހި|Thaa
dz|dzo|Dzongkha,རྫོང་ཁ|Tibt
ee|ewe|Ewe,Eʋegbe|
el|ell,gre,gr|Greek,Modern Greek,Ελληνικά|Grek
en|eng|English,Englisch,Anglais,Inglés,Inglês,Inglese,Engels,Engelska,Engelsk,Angielski,Английский,İngilizce,英語,英语,英文,영어,الإنجليزية,अंग्रेज़ी|
eo|epo|Esperanto|
es|spa|Spanish,Castilian,Español,Castellano,Spanisch,Espagnol,Espanhol,Spagnolo,西班牙语|
et|est,ekk|Estonian,Eesti,Eesti keel|
eu|eus,baq|Basque,Euskara,Euskera|
fa|fas,per,pes|Persian,Farsi,Western Persian,فارسی|Arab
ff|ful,fuv|Fula,Fulah,Fulfulde,Pulaar|
fi|fin|Finnish,Suomi,Suomeksi|
fj|fij|Fijian,Vosa Vakaviti|
fo|fao|Faroese,Føroyskt|
fr|fra,fre|French,Français,Französisch,Francés,Francês,Francese,Французский,法语,法文,フランス語,프랑스어|
fy|fry|Western Frisian,West Frisian,Frisian,Frysk|
ga|gle|Irish,Gaeilge|
gd|gla|Scottish Gaelic,Gaelic,Gàidhlig|
gl|glg|Galician,Galego|
gn|grn|Guarani,Guaraní,Avañe'ẽ|
gu|guj|Gujarati,ગુજરાતી|Gujr
gv|glv|Manx,Gaelg|
ha|hau|Hausa|
he|heb,iw|Hebrew,עברית|Hebr
hi|hin|Hindi,हिन्दी,हिंदी|Deva
hr|hrv|Croatian,Hrvatski|
ht|hat|Haitian,Haitian Creole,Kreyòl Ayisyen|
hu|hun|Hungarian,Magyar|
hy|hye,arm|Armenian,Հայերեն|Armn
hz|her|Herero,Otjiherero|
ia|ina|Interlingua|
id|ind|Indonesian,Bahasa Indonesia|
ig|ibo|Igbo|
io|ido|Ido|
is|isl,ice|Icelandic,Íslenska|
it|ita|Italian,Italiano,Italienisch,Italien,意大利语|
iu|iku|Inuktitut,ᐃᓄᒃᑎᑐᑦ|Cans
ja|jpn,jp|Japanese,日本語,Japanisch,Japonais,日语,日文,일본어|Jpan
jv|jav|Javanese,Basa Jawa|
ka|kat,geo|Georgian,ქართული|Geor
ki|kik|Kikuyu,Gikuyu,Gĩkũyũ|
kk|kaz|Kazakh,Қазақша,Қазақ тілі|Cyrl
kl|kal|Greenlandic,Kalaallisut|
km|khm|Khmer,Cambodian,ខ្មែរ,ភាសាខ្មែរ|Khmr
kn|kan|Kannada,ಕನ್ನಡ|Knda
ko|kor,kr|Korean,한국어,조선말,Koreanisch,Coréen,韩语,韓国語|Kore
ks|kas|Kashmiri,कॉशुर,کٲشُر|-
ku|kur,kmr|Kurdish,Kurmanji,Northern Kurdish,Kurdî|
kv|kom|Komi,Коми|Cyrl
kw|cor|Cornish,Kernewek|
ky|kir|Kyrgyz,Kirghiz,Кыргызча|Cyrl
la|lat|Latin,Latina|
lb|ltz|Luxembourgish,Lëtzebuergesch|
lg|lug|Ganda,Luganda|
li|lim|Limburgish,Limburgs|
ln|lin|Lingala|
lo|lao|Lao,ລາວ,ພາສາລາວ|Laoo
lt|lit|Lithuanian,Lietuvių|
lv|lav,lvs|Latvian,Latviešu|
mg|mlg,plt|Malagasy|
mh|mah|Marshallese|
mi|mri,mao|Maori,Māori,Te Reo Māori|
mk|mkd,mac|Macedonian,Македонски|Cyrl
ml|mal|Malayalam,മലയാളം|Mlym
mn|mon,khk|Mongolian,Halh Mongolian,Монгол|Cyrl
mr|mar|Marathi,मराठी|Deva
ms|msa,may,zsm|Malay,Standard Malay,Bahasa Melayu|
mt|mlt|Maltese,Malti|
my|mya,bur|Burmese,Myanmar,မြန်မာ,မြန်မာစာ|Mymr
nb|nob|Norwegian Bokmål,Bokmål|
ne|nep,npi|Nepali,नेपाली|Deva
nl|nld,dut|Dutch,Flemish,Nederlands,Niederländisch,Vlaams,荷兰语|
nn|nno|Norwegian Nynorsk,Nynorsk|
no|nor|Norwegian,Norsk|
nv|nav|Navajo,Diné bizaad|
ny|nya|Chichewa,Nyanja,Chewa|
oc|oci|Occitan|
om|orm,gaz|Oromo,West Central Oromo,Afaan Oromoo|
or|ori,ory|Odia,Oriya,ଓଡ଼ିଆ|Orya
os|oss|Ossetian,Ossetic,Ирон|Cyrl
pa|pan|Punjabi,Panjabi,Eastern Panjabi,ਪੰਜਾਬੀ|Guru
pl|pol|Polish,Polski,Polnisch,Język polski|
ps|pus,pbt|Pashto,Pushto,Southern Pashto,پښتو|Arab
pt|por|Portuguese,Português,Portugiesisch,葡萄牙语|
qu|que,quy|Quechua,Ayacucho Quechua,Runa Simi|
rm|roh|Romansh,Rumantsch|
rn|run|Rundi,Kirundi|
ro|ron,rum|Romanian,Moldovan,Română|
ru|rus|Russian,Русский,Русский язык,Russisch,Russe,Ruso,俄语,ロシア語,러시아어|Cyrl
rw|kin|Kinyarwanda,Ikinyarwanda|
sa|san|Sanskrit,संस्कृतम्|Deva
sc|srd|Sardinian,Sardu|
sd|snd|Sindhi,سنڌي|Arab
se|sme|Northern Sami,Davvisámegiella|
sg|sag|Sango,Sängö|
si|sin|Sinhala,Sinhalese,සිංහල|Sinh
sk|slk,slo|Slovak,Slovenčina|
sl|slv|Slovenian,Slovene,Slovenščina|
sm|smo|Samoan,Gagana Sāmoa|
sn|sna|Shona,chiShona|
so|som|Somali,Soomaali|
sq|sqi,alb,als|Albanian,Tosk Albanian,Shqip|
sr|srp|Serbian,Српски,Srpski|-
ss|ssw|Swati,Swazi,siSwati|
st|sot|Southern Sotho,Sesotho|
su|sun|Sundanese,Basa Sunda|
sv|swe|Swedish,Svenska,Schwedisch|
sw|swa,swh|Swahili,Kiswahili|
ta|tam|Tamil,தமிழ்|Taml
te|tel|Telugu,తెలుగు|Telu
tg|tgk|Tajik,Тоҷикӣ|Cyrl
th|tha|Thai,ไทย,ภาษาไทย,泰语|Thai
ti|tir|Tigrinya,ትግርኛ|Ethi
tk|tuk|Turkmen,Türkmençe|
tl|tgl|Tagalog|
tn|tsn|Tswana,Setswana|
to|ton|Tongan,Lea faka-Tonga|
tr|tur|Turkish,Türkçe,Türkisch|
ts|tso|Tsonga,Xitsonga|
tt|tat|Tatar,Татар,Татарча|Cyrl
ug|uig|Uyghur,Uighur,ئۇيغۇرچە|Arab
uk|ukr,ua|Ukrainian,Українська,Українська мова,Ukrainisch|Cyrl
ur|urd|Urdu,اردو|Arab
uz|uzb,uzn|Uzbek,Northern Uzbek,Oʻzbekcha,O'zbekcha|
ve|ven|Venda,Tshivenda|
vi|vie,vn|Vietnamese,Tiếng Việt,越南语|
vo|vol|Volapük|
wa|wln|Walloon,Walon|
wo|wol|Wolof|
xh|xho|Xhosa,isiXhosa|
yi|yid,ydd,ji|Yiddish,Eastern Yiddish,ייִדיש|Hebr
yo|yor|Yoruba,Yorùbá|
za|zha|Zhuang|
zh|zho,chi,cmn,cn|Chinese,Mandarin,Mandarin Chinese,中文,汉语,漢語,普通话,Chinesisch,Chinois,Chino,中国語|-
zu|zul|Zulu,isiZulu|
ace||Acehnese|
acm||Mesopotamian Arabic|Arab
apc||Levantine Arabic|Arab
ars||Najdi Arabic|Arab
ary||Moroccan Arabic|Arab
arz||Egyptian Arabic|Arab
ast||Asturian,Asturianu|
awa||Awadhi|Deva
azb||South Azerbaijani|Arab
ban||Balinese|
bar||Bavarian,Boarisch|
bem||Bemba|
bho||Bhojpuri,भोजपुरी|Deva
bjn||Banjar|
bug||Buginese|
ceb||Cebuano|
ckb||Central Kurdish,Sorani,سۆرانی|Arab
crh||Crimean Tatar|
dsb||Lower Sorbian,Dolnoserbski|
fil||Filipino|
fon||Fon|
fur||Friulian,Furlan|
gsw||Swiss German,Alemannic,Schweizerdeutsch,Schwiizerdütsch|
haw||Hawaiian|
hbs|sh|Serbo-Croatian|-
hne||Chhattisgarhi|Deva
hsb||Upper Sorbian,Hornjoserbsce|
ilo||Ilocano|
kab||Kabyle,Taqbaylit|
kea||Kabuverdianu|
kok|gom|Konkani,Goan Konkani|Deva
lij||Ligurian|
lmo||Lombard|
ltg||Latgalian|
lus||Mizo|
mag||Magahi|Deva
mai||Maithili,मैथिली|Deva
min||Minangkabau|
mni||Meitei,Manipuri|Beng
nds||Low German,Low Saxon,Plattdüütsch|
nso||Northern Sotho,Sepedi|
pag||Pangasinan|
pap||Papiamento|
prs||Dari|Arab
sah||Yakut,Sakha|Cyrl
sat||Santali|Olck
scn||Sicilian|
szl||Silesian|
tok||Toki Pona|
tpi||Tok Pisin|
tum||Tumbuka|
tyv||Tuvan|Cyrl
udm||Udmurt|Cyrl
vec||Venetian|
war||Waray|
yue||Cantonese,粵語,粤语,廣東話|-
"""
VARIANTS = {
    "zh-Hans": "Simplified Chinese,Chinese Simplified,简体中文,中文（简体）",
    "zh-Hant": "Traditional Chinese,Chinese Traditional,繁體中文,繁体中文,中文（繁體）",
    "pt-BR": "Brazilian Portuguese,Portuguese Brazil,Português brasileiro,Português Brasil",
    "pt-PT": "European Portuguese,Portuguese Portugal",
    "en-US": "American English,English US",
    "en-GB": "British English,English UK",
}
SCRIPTS = {"Latn", "Cans", "Olck", "Hans", "Hant", "Hani", "Hira", "Kana", "Tfng", "Mong", "Copt"}
SCRIPTS |= {line.rpartition("|")[2] for line in TABLE.split("\n")} - {"", "-"}
# In `zh_cn` the second part is a country; elsewhere a country is recognised by its capitals: pt_BR
COUNTRIES = set("us gb uk br pt cn tw hk mo sg at ch de fr ca be mx es au nz ie za in ir rs".split())
# Codes that are also frequent words, of file names too: beside other words they name no language
WORDS = set("am an as be by co do go he id in io is it la me mt my no of or os so to us yo".split())
WORDS |= set(
    "ace arm ban bar bug cat cos div fur geo hat her ice kin lug mac mag may min mon nav nor".split()
)
WORDS |= set("pan pap per pus run rum sag san sat sin sun tam tel ton tum vec vol war".split())
OTHER_WORDS = set("da ha ja ne se si ta te ti".split())  # codes that are frequent words of other languages
DOMAINS = set("id in jp ke kr th tz ug uk za".split())  # co.uk: codes that are countries after `co`
SUFFIXES = set("gz bz2 xz zst tsv csv tab txt json jsonl ndjson parquet yaml yml tmx xlf xliff po".split())
CELL = re.compile(r"[\w\s()\[\]:/'’.-]*[\w)\]:]")
SEPARATED = re.compile(r"[^\W\d_]+|(?<![^\W_])\d{3}(?![^\W_])")  # words, and regions such as 419


def _plain(text: str) -> str:
    """The text without accents and other marks, which some headings omit."""
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(c for c in decomposed if unicodedata.category(c) not in ("Mn", "Mc", "Me", "Cf"))


def _words(text: str) -> list[str]:
    return SEPARATED.findall(_plain(text))


def _heading_words(cell: str) -> list[str]:
    """The words of a cell, none if it is punctuated as a sentence: `text.no` is a heading, `no.` is not."""
    return _words(cell) if CELL.fullmatch(_plain(cell).strip()) else []


def _fold(text: str) -> str:
    return " ".join(_words(text)).casefold()


CODES: dict[str, str] = {}
NAMES: dict[str, str] = {}
USUAL: dict[str, str] = {}  # the script that is omitted in a tag
for _line in TABLE.strip().split("\n"):
    _code, _others, _names, _script = _line.split("|")
    CODES |= dict.fromkeys([_code, *filter(None, _others.split(","))], _code)
    NAMES |= {_fold(name): _code for name in _names.split(",")}
    USUAL[_code] = _script or "Latn"
for _variant, _names in VARIANTS.items():
    NAMES |= {_fold(name): _variant for name in _names.split(",")}


def language_of(cell: str) -> str | None:
    """The BCP 47 tag of the language named by a header cell or column, or None.

    Recognises codes of two and three letters with script and country (`deu`, `pt_BR`, `eng_Latn`), and
    names in English and in the language itself, alone or with words such as source and text. A script
    is in the tag if it is not the language's usual one: `en` for eng_Latn, `zh-Hans` for zho_Hans. A code
    of two letters is lower or upper case: `Ja` and `No` are words.
    """
    words = [word for word in _heading_words(cell) if word.casefold() not in HEADINGS]
    if not words:
        return None
    if name := NAMES.get(" ".join(words).casefold()):
        return name
    tag, used = _parse(words, in_cell=True)
    return tag if used == len(words) else None


def languages_of_name(name: str) -> tuple[str, str] | None:
    """The tags of the two languages side by side in the name of a file or folder, in that order.

    `corpus.de-en.tsv`, `train_deu_eng.tsv.gz`, `zh-Hans_en`, `en2de`, `German-English.csv`. None if there
    is no such pair, or if there are two that differ. A code that is also a word counts where the pair stands
    alone between dots: `train.it-en.tsv`, not `train-it-en.tsv`.
    """
    name = re.sub(r"(?<=[a-z])(2|-to-|_to_)(?=[a-z])", "-", name)
    parts = name.split(".")
    while len(parts) > 1 and parts[-1].lower() in SUFFIXES:
        parts.pop()
    found = {pair for part in parts for pair in _pairs(_words(part))}
    return found.pop() if len(found) == 1 else None


def is_heading(cell: str) -> bool:
    """Whether a cell looks like a heading: a language (see `language_of`) or words such as source."""
    words = _heading_words(cell)
    plain = all(word.casefold() in HEADINGS or re.fullmatch("[a-z]{2}|[A-Z]{2}", word) for word in words)
    return bool(words) and (plain or language_of(cell) is not None)


def are_headings(cells: tuple[str, str], is_repeated: bool) -> bool:
    """Whether the first row's two cells are headings; `is_repeated` if a following row repeats them.

    Bare codes of both may also be words that translate each other (no, so; Run, Fin): they have to name
    different languages in one case, and where one is a word of English, or both of other languages, in
    lower case, and only once.
    """
    tags = [language_of(cell) for cell in cells]
    if cells[0].casefold() == cells[1].casefold() or not all(map(is_heading, cells)):
        return False
    if tags[0] == tags[1] is not None:  # a word in two languages: Polnisch, Polish
        return False
    folded = map(_fold, cells)
    bare = [cell for cell in folded if len(cell) <= 3 and cell.isascii() and cell not in HEADINGS]
    if len(bare) < 2:
        return True
    if None in tags or not ("".join(cells).isupper() or "".join(cells).islower()):
        return False
    if not WORDS & {*bare} and not {*bare} <= OTHER_WORDS:
        return True
    return not {*bare} <= WORDS and "".join(cells).islower() and not is_repeated


def _parse(words: list[str], in_cell: bool = False) -> tuple[str | None, int]:
    """The tag at the beginning of the words, and its number of words: language, script, country."""
    first = words[0]
    cased = first.islower() or first.isupper() or (len(first) == 3 and first.istitle())
    code = CODES.get(first.lower()) if cased else None
    if code is None:
        return None, 0
    tag, used = code, 1
    if used < len(words) and (script := words[used].title()) in SCRIPTS:
        tag += f"-{script}" if script != USUAL[code] else ""
        used += 1
    if used < len(words) and first.islower():
        country = words[used]
        if re.fullmatch(r"[A-Z]{2}|\d{3}", country) or (in_cell and country in COUNTRIES):
            tag += f"-{country.upper()}"
            used += 1
    return tag, used


def _pairs(words: list[str]) -> list[tuple[str, str]]:
    """Every two different languages side by side; none if one of them is probably a word."""
    found: list[tuple[str, str]] = []
    before: str | None = None
    place = taken = 0
    while place < len(words):
        tag, used = _language(words[place:])
        if before and tag and before != tag:
            both = [word.lower() for word in words[place - taken : place + used]]
            ambiguous = WORDS & {*both}
            if {*both} <= WORDS or (ambiguous and len(both) < len(words)) or _is_domain(both):
                return []
            found.append((before, tag))
        before, taken = tag, used
        place += max(used, 1)
    return found


def _is_domain(words: list[str]) -> bool:
    return words[0] == "co" and words[1] in DOMAINS


def _language(words: list[str]) -> tuple[str | None, int]:
    """The language at the beginning of the words, by a name of one or two words or by code."""
    for count in (2, 1):
        if name := NAMES.get(" ".join(words[:count]).casefold()) if len(words) >= count else None:
            return name, count
    return _parse(words)
