"""`python -m benchmarks.corpus_large OUT.parquet --pairs 2000000`: a corpus of any size, written as a stream.

Why: speed and memory at the scale of 10^7 pairs are measured on the same file everywhere, without a download.
Sentences are German and English words in random order, with the frequencies (Zipf), the lengths (a mean of
17 words) and the lengths' spread of collected corpora, with numbers, names and compounds. Some pairs are
repeated, and some have the faults of benchmarks/planted_noise.py. It is no corpus to learn from. The pairs of
a block depend on the seed and the block's number alone.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.planted_noise import KINDS
from seq2seq.common.progress import Progress
from seq2seq.data.corpus import SCHEMA, Pair, to_table

BLOCK = 10_000  # pairs made at once
REPEATED, FAULTY = 0.05, 0.05  # shares of repeated and faulty pairs
MEDIAN, SPREAD, LONGEST = 14.0, 0.6, 100  # of the words of a sentence: log-normal, a mean of 17
# Frequent words first, since ranks decide the frequency.
FUNCTION = """die:the der:the und:and in:in das:the ein:a zu:to von:of mit:with ist:is nicht:not auf:on
für:for eine:a sich:itself dem:the im:in den:the auch:also es:it an:at als:than
werden:become aus:from er:he hat:has dass:that sie:they nach:after wird:becomes bei:near
um:around noch:still wie:how über:over so:so war:was haben:have nur:only oder:or aber:but
vor:before zur:to bis:until mehr:more durch:through man:one dann:then sein:be wurde:was
wir:we ihr:her unter:under wenn:when ich:I kann:can schon:already gegen:against"""
CONTENT = """gut:good neu:new groß:large klein:small alt:old lang:long hoch:high schnell:quick
deutsch:German wichtig:important schwer:heavy leicht:light früh:early spät:late kalt:cold
warm:warm ruhig:quiet offen:open frei:free weiß:white schwarz:black rot:red grün:green
möglich:possible einfach:simple geht:goes kommt:comes sieht:sees findet:finds gibt:gives
macht:makes steht:stands liegt:lies bleibt:stays heißt:means zeigt:shows hört:hears
spielt:plays schreibt:writes liest:reads kauft:buys sucht:seeks baut:builds trägt:carries
öffnet:opens schließt:closes beginnt:begins endet:ends arbeitet:works wartet:waits
lacht:laughs schläft:sleeps läuft:runs fährt:drives glaubt:believes hofft:hopes
braucht:needs zahlt:pays"""
NOUNS = """Zeit:time Jahr:year Mensch:person Haus:house Tag:day Stadt:city Land:country Frau:woman
Mann:man Kind:child Welt:world Leben:life Hand:hand Auge:eye Schule:school Wasser:water
Straße:street Arbeit:work Buch:book Tür:door Fenster:window Tisch:table Brief:letter
Garten:garden Baum:tree Hund:dog Katze:cat Vogel:bird Fisch:fish Brot:bread Milch:milk
Kaffee:coffee Zug:train Bus:bus Wagen:car Brücke:bridge Fluss:river Berg:mountain See:lake
Wald:forest Wiese:meadow Wind:wind Regen:rain Schnee:snow Sonne:sun Mond:moon Stern:star
Nacht:night Morgen:morning Abend:evening Woche:week Monat:month Winter:winter Sommer:summer
Lehrer:teacher Arzt:doctor Richter:judge Bäcker:baker Gärtner:gardener Musik:music Lied:song
Bild:picture Farbe:colour Licht:light Schatten:shadow Stein:stone Holz:wood Eisen:iron
Gold:gold Geld:money Markt:market Laden:shop Preis:price Kunde:customer Firma:company
Bank:bank Gesetz:law Regel:rule Frage:question Antwort:answer Wort:word Satz:sentence
Sprache:language Karte:map Reise:journey Weg:way Hafen:harbour Schiff:ship Insel:island
Küste:coast Kirche:church Turm:tower Platz:square Mauer:wall Dach:roof Küche:kitchen
Zimmer:room Treppe:stairs Uhr:clock Lampe:lamp Stuhl:chair Glas:glass Teller:plate
Messer:knife"""
# Rare words are invented, of the syllables and endings of either language.
GERMAN = (
    "ab an auf be ent er ge ver vor zer berg brech drang dreh fahr fall fass feld flecht forsch fried glaub"
    " grab greif halt hand heiz klang kraft lauf leit lieb mach nehm pfleg quell rausch richt ruf schaff"
    " schlag schmelz schreib schwing sinn spann sprech stell streit trag treib wand wehr werk wirk zieh",
    "e en er ung ungen heit keit lich lichen isch igen ende ter tes tem schaft nis los bar sam ig chen",
)
ENGLISH = (
    "a ac ad com con de dis en ex im in per pre pro re sub un act cept claim cord duct fend form gest grad"
    " ject lect mand mit mount pact pand pel plain port pose press quest quire scribe sent serve sist spect"
    " spire stand strain tain tend test tract tribute vent vert view vis volve ward whole work wright",
    "s ed ing ion ions ment ments ness less ly able er ers ful ity ive al ance ent ous ism ist ure th",
)
INVENTED = 25_000


Words = npt.NDArray[np.object_]


def words() -> tuple[Words, Words]:
    """The German and the English words, the most frequent first."""
    first, content, nouns = (
        [entry.split(":") for entry in text.split()] for text in (FUNCTION, CONTENT, NOUNS)
    )
    rng = random.Random(1)
    rare = [
        [f"{one[0]}{other[0].lower()}", f"{one[1]} {other[1]}"]
        for one in nouns
        for other in nouns
        if one is not other
    ]
    invented = [[_invented(rng, GERMAN), _invented(rng, ENGLISH)] for _ in range(INVENTED)]
    rare += [*invented, *([one[0].title()] * 2 for one in invented[::10])]  # names are not translated
    rare += [[str(number)] * 2 for number in range(1, 400)]
    rng.shuffle(rare)
    both = content + nouns
    rng.shuffle(both)
    table = np.array([*first, *both, *rare], dtype=object)
    return table[:, 0], table[:, 1]


def _invented(rng: random.Random, parts: tuple[str, str]) -> str:
    syllables, endings = (part.split() for part in parts)
    return "".join([*rng.choices(syllables, k=rng.choice([1, 2, 2, 2, 3])), rng.choice(endings)])


class Writer:
    """Makes the blocks of a corpus."""

    def __init__(self, seed: int = 1) -> None:
        self._seed = seed
        self._source, self._target = words()
        weights = 1.0 / (np.arange(len(self._source)) + 2.7)
        self._cumulated = np.cumsum(weights / weights.sum())
        self._first = self._clean(0)  # pairs that later blocks repeat

    def block(self, number: int) -> list[Pair]:
        """BLOCK pairs, some of them repeated or faulty."""
        pairs, rng = self._clean(number), random.Random(f"{self._seed} {number}")
        clean = list(pairs)
        for at in rng.sample(range(BLOCK), int(BLOCK * (REPEATED + FAULTY))):
            if rng.random() < REPEATED / (REPEATED + FAULTY):
                pairs[at] = rng.choice(self._first if rng.random() < 0.6 else clean)
            else:
                pairs[at] = rng.choice(KINDS)(rng, clean, rng.randrange(BLOCK)) or clean[at]
        return pairs

    def _clean(self, number: int) -> list[Pair]:
        rng = np.random.default_rng([self._seed, number])
        lengths = np.clip(np.exp(rng.normal(np.log(MEDIAN), SPREAD, BLOCK)), 2, LONGEST).astype(np.int64)
        ids = np.searchsorted(self._cumulated, rng.random(lengths.sum()))
        ends = np.cumsum(lengths)
        sentence = np.repeat(np.arange(BLOCK), lengths)
        place = np.arange(len(ids)) - np.repeat(ends - lengths, lengths)
        order = np.argsort(sentence * 1000.0 + place + rng.normal(0, 1.2, len(ids)))  # another word order
        kept = rng.random(len(ids)) > 0.06
        order = order[kept | (place == 0)]
        target_ends = np.cumsum(np.bincount(sentence[order], minlength=BLOCK))
        marks = rng.choice([".", ".", ".", ".", ".", ".", "?", "!", ""], BLOCK)
        sides = (
            _sentences(words, ends, marks)
            for words, ends in ((self._source[ids], ends), (self._target[ids[order]], target_ends))
        )
        return [Pair(source, target) for source, target in zip(*sides, strict=True)]


def _sentences(words: Words, ends: npt.NDArray[np.int64], marks: npt.NDArray[np.str_]) -> Iterator[str]:
    start = 0
    listed = words.tolist()
    for end, mark in zip(ends.tolist(), marks.tolist(), strict=True):
        text = " ".join(listed[start:end])
        if end - start > 12:
            half = text.find(" ", len(text) // 2)
            text = f"{text[:half]},{text[half:]}"
        yield text[:1].upper() + text[1:] + mark
        start = end


def corpus(pairs: int, seed: int = 1) -> Iterator[list[Pair]]:
    """The first `pairs` pairs, in blocks."""
    writer = Writer(seed)
    for number in range(-(-pairs // BLOCK)):
        yield writer.block(number)[: pairs - number * BLOCK]


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the corpus."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("out", type=Path, help="a file, .parquet or .tsv")
    parser.add_argument("--pairs", type=int, default=2_000_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    if options.out.suffix not in (".parquet", ".tsv"):
        print(f"error: {options.out}: the name must end with .parquet or .tsv", file=sys.stderr)
        return 2
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with Progress("corpus", "pairs", options.pairs) as progress:
        if options.out.suffix == ".tsv":
            with options.out.open("w", encoding="utf-8", newline="\n") as file:
                for block in corpus(options.pairs, options.seed):
                    file.writelines(f"{pair.source}\t{pair.target}\n" for pair in block)
                    progress.advance(len(block))
        else:
            columns = pa.schema([SCHEMA.field("source"), SCHEMA.field("target")])
            with pq.ParquetWriter(options.out, columns, compression="zstd") as writer:
                for block in corpus(options.pairs, options.seed):
                    writer.write_table(to_table(block).select(columns.names))
                    progress.advance(len(block))
    return 0


if __name__ == "__main__":
    sys.exit(main())
