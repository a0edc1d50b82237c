"""Two hundred pairs of references and hypotheses on which scorers tend to disagree, the same in every run."""

import random
from dataclasses import dataclass

ENGLISH = (
    "Mr. Smith paid twenty-one dollars and fifty cents.",
    "I won't, can't and shouldn't've gone - it's 3rd-rate!",
    "The colour of the theatre's grey centre cost $1,234.50",
    "One oh one, nineteen ninety nine, and the 1960s",
    "<|en|>Uh, hello there <|endoftext|>",
    "She's  got   50% (laughs) [noise] of £20 million",
    "NAÏVE café, cooperate, co-operate, coöperate",
    "Call 555-0100 at o'clock: press one, two, or 3.",
    "I'm gonna say ma'am, y'all; let's go.",
    "the the the the",
    "A",
    "...",
    "",
)
CHINESE = (
    "今天天气很好,我们去公园吧。",
    "我用iPhone 15给Peter打电话!",
    "他说:“Hello world”,然后走了。",
    "<|zh|>价格是 100 元 (约 14 美元)",
    "一二三 四五六",
    "我们 在 北京大学 的 AI Lab",
    "嗯……",
    "",
)
CANTONESE = (
    "我哋去飲茶啦!",
    "佢話聽日會落雨,記得帶遮。",
    "<|yue|>呢個 App 好正㗎",
    "廣東話 and English 夾雜講嘢",
    "後面個公園,裏面有隻貓。",
    "",
)
FRENCH = (
    "L'été dernier, j'ai mangé à l'hôtel.",
    "Qu'est-ce que c'est ? C'est 21 %…",
    "<|fr|>Où sont-ils allés (rires) ?",
    "Ça va, œuvre d'art n° 5",
    "",
)
EACH = {"en": (ENGLISH, 80), "zh": (CHINESE, 40), "yue": (CANTONESE, 40), "fr": (FRENCH, 40)}
SIMPLIFIED = str.maketrans("話聽會記帶個廣講後裏隻貓飲", "话听会记带个广讲后里只猫饮")


@dataclass(frozen=True)
class AwkwardPair:
    id: str
    language: str
    reference: str
    hypothesis: str


def awkward_pairs() -> list[AwkwardPair]:
    """80 English, 40 Chinese, 40 Cantonese and 40 French; some references and some hypotheses are empty."""
    chance = random.Random(6)
    pairs = []
    for language, (texts, count) in EACH.items():
        for number in range(count):
            reference = texts[number % len(texts)]
            hypothesis = _spoiled(reference if chance.random() < 0.9 else chance.choice(texts), language, chance)
            pairs.append(AwkwardPair(f"{language}-{number:03d}", language, reference, hypothesis))
    return pairs


def _spoiled(text: str, language: str, chance: random.Random) -> str:
    """A text as a system could have transcribed it: other words, letters or punctuation, or nothing."""
    way = chance.randrange(7)
    words = text.split(" ")
    at = chance.randrange(len(words))
    if way == 0:
        return ""
    if way == 1:
        return " ".join(words[:at] + words[at + 1 :])
    if way == 2:
        return " ".join([*words[:at], "twenty one" if language == "en" else "好 OK", *words[at:]])
    if way == 3:
        return text.upper().replace(",", "").replace(".", "")
    if way == 4 and text:
        at = chance.randrange(len(text))
        return text[:at] + chance.choice("aé天7'。") + text[at + 1 :]
    if way == 5:
        return text.translate(SIMPLIFIED)
    return text
