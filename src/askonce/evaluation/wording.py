"""Makes words comparable: what a reader takes for the same is the same."""

import unicodedata

# What word processors and models write for what keyboards have.
_PLAIN_MARKS = str.maketrans(
    {
        **dict.fromkeys("\u2018\u2019\u201a\u201b\u02bc\u2032", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u201f\u00ab\u00bb", '"'),
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-"),
    }
)


def plain(text: str) -> str:
    """Return a text by its words alone: no matter its case, its typography, its blanks.

    What cannot be seen is left out; the rest is matched as section 3.13 of the Unicode Standard has
    it (D146, compatibility caseless), whereby letters keep their accents.
    """
    seen = "".join(one for one in text if unicodedata.category(one) != "Cf")
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFD", seen).casefold()).casefold()
    return " ".join(unicodedata.normalize("NFKC", folded).translate(_PLAIN_MARKS).split())
