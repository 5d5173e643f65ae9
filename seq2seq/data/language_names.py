"""The codes of languages and their names in English and in the language itself.

Why: corpora name their languages in many ways. No maintained library has these names without megabytes of
other data.
"""

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
