"""Language codes: two letters in manifests (ISO 639-1), three in multilingual checkpoints (ISO 639-3)."""

import re

from earmark.schemas.errors import RowError

# Every code of ISO 639-1 with its code in ISO 639-3. A macrolanguage is followed by the language that CLDR maps it to
# (common/supplemental, languageAlias), or by Twi for Akan and Bokmål for Norwegian; MMS's Malay is zlm.
ISO_639 = """
aa aar|ab abk|ae ave|af afr|ak aka twi|am amh|an arg|ar ara arb|as asm|av ava|ay aym ayr|az aze azj|ba bak|be bel
bg bul|bi bis|bm bam|bn ben|bo bod|br bre|bs bos|ca cat|ce che|ch cha|co cos|cr cre cwd|cs ces|cu chu|cv chv|cy cym
da dan|de deu|dv div|dz dzo|ee ewe|el ell|en eng|eo epo|es spa|et est ekk|eu eus|fa fas pes|ff ful fuc|fi fin|fj fij
fo fao|fr fra|fy fry|ga gle|gd gla|gl glg|gn grn gug|gu guj|gv glv|ha hau|he heb|hi hin|ho hmo|hr hrv|ht hat|hu hun
hy hye|hz her|ia ina|id ind|ie ile|ig ibo|ii iii|ik ipk esk|io ido|is isl|it ita|iu iku ike|ja jpn|jv jav|ka kat
kg kon kng|ki kik|kj kua|kk kaz|kl kal|km khm|kn kan|ko kor|kr kau knc|ks kas|ku kur kmr|kv kom kpv|kw cor|ky kir
la lat|lb ltz|lg lug|li lim|ln lin|lo lao|lt lit|lu lub|lv lav lvs|mg mlg plt|mh mah|mi mri|mk mkd|ml mal|mn mon khk
mr mar|ms msa zsm zlm|mt mlt|my mya|na nau|nb nob|nd nde|ne nep npi|ng ndo|nl nld|nn nno|no nor nob|nr nbl|nv nav
ny nya|oc oci|oj oji ojg|om orm gaz|or ori ory|os oss|pa pan|pi pli|pl pol|ps pus pbu|pt por|qu que quz|rm roh|rn run
ro ron|ru rus|rw kin|sa san|sc srd src|sd snd|se sme|sg sag|si sin|sk slk|sl slv|sm smo|sn sna|so som|sq sqi als
sr srp|ss ssw|st sot|su sun|sv swe|sw swa swh|ta tam|te tel|tg tgk|th tha|ti tir|tk tuk|tl tgl|tn tsn|to ton|tr tur
ts tso|tt tat|tw twi|ty tah|ug uig|uk ukr|ur urd|uz uzb uzn|ve ven|vi vie|vo vol|wa wln|wo wol|xh xho|yi yid ydd
yo yor|za zha zyb|zh zho cmn|zu zul
"""
_ENTRIES = [entry.split() for entry in re.split(r"[|\n]", ISO_639.strip())]
THREE_LETTERS = {two: tuple(three) for two, *three in _ENTRIES}
# Where several entries have a code (nb, no), the entry that lists it first.
TWO_LETTERS = {code: two for rank in (2, 1, 0) for two, *three in _ENTRIES for code in three[rank : rank + 1]}


def primary_code(language: str) -> str:
    """The language code in a tag of a manifest ("en-US", "pt_BR"), without country and script, in lower case."""
    return re.split("[-_]", language.strip(), maxsplit=1)[0].lower()


def language_code(language: str) -> str | None:
    """The same, None for "". Raises RowError if the tag does not begin with a language code."""
    if not language:
        return None
    code = primary_code(language)
    if not re.fullmatch("[a-z]{2,3}", code):
        raise RowError("language", f"{language!r} is not a language code; use one such as en, zh, de")
    return code


def short_code(language: str) -> str:
    """The code in two letters, if the language has one: "en" for "eng", "zh" for "cmn-script_simplified"."""
    code = primary_code(language)
    return TWO_LETTERS.get(code, code)


def all_codes(language: str) -> tuple[str, ...]:
    """Every code of a language: the given one first, then those of ISO 639-3, likeliest first."""
    code = primary_code(language)
    return tuple(dict.fromkeys((code, *THREE_LETTERS.get(TWO_LETTERS.get(code, code), ()))))
