"""Where sentences end, language by language: a long turn is cut there, and nothing else decides."""

from __future__ import annotations

import random
import time
from itertools import pairwise

import pytest

from core_engine.chunking.cut import cut, recut
from core_engine.chunking.pieces import pieces
from core_engine.keys import content
from core_engine.types import Turn

SENTENCES = {
    "English": ["Mr. J. Smith met Dr. Li. ", "Did they agree? ", "“Yes!” ", "So they said … "],
    "German": ["Das war z.B. Hr. Meier, bzw. Fr. Öztürk. ", "Am Ä. Platz, Nr. 5. ", "Wirklich? "],
    "Spanish": ["¿Vino la Sra. Núñez? ", "¡Sí, claro! ", "Está en la núm. 5. "],
    "Russian": ["Пришёл проф. А. Иванов. ", "На ул. Ленина? ", "Да! "],
    "Greek": ["Ήρθε ο Νίκος; ", "Ναι, ήρθε. ", "Τι ώρα είναι; "],
    "Chinese": ["大家好。", "我们现在开始吗？", "“好的！”", "资料都准备好了。"],
    "Japanese": ["おはようございます。", "「始めましょう。」", "準備はできていますか？", "はい！"],
    "Korean": ["안녕하세요. ", "회의를 시작할까요? ", "네! "],
    "Arabic": ["نبدأ الاجتماع الآن. ", "هل أنت جاهز؟ ", "نعم! "],
    "Urdu": ["ہم شروع کرتے ہیں۔ ", "کیا آپ تیار ہیں؟ "],
    "Hebrew": ["מתחילים את הפגישה. ", "האם הכול מוכן? ", "כן! "],
    "Hindi": ["हम बैठक शुरू करते हैं। ", "क्या आप तैयार हैं? "],
    "Thai": ["สวัสดีครับทุกคน ", "เราจะเริ่มประชุมกันแล้ว ", "พร้อมหรือยังครับ "],
    "Armenian": ["Մենք սկսում ենք։ ", "Լավ։ "],
}


def cuts(text: str) -> list[str]:
    return [text[start:end] for start, end in pieces(text, 0, len(text), 1000)]


@pytest.mark.parametrize("language", SENTENCES)
def test_sentences_end_where_their_language_ends_them(language):
    sentences = SENTENCES[language] * 3
    assert cuts("".join(sentences)) == sentences


@pytest.mark.parametrize("language", SENTENCES)
def test_a_long_turn_is_cut_at_sentence_ends_and_an_edit_in_it_stays_local(language):
    dice = random.Random(3)
    sentences = [dice.choice(SENTENCES[language]) for _ in range(900)]
    turn = Turn("".join(sentences), "Ann")
    old = cut("d", [turn], size=300)
    ends = tuple(sentence.rstrip() for sentence in SENTENCES[language])
    assert all(chunk.turns[0].raw.rstrip().endswith(ends) for chunk in old)
    edited = [*sentences[:450], "42! ", *sentences[450:]]
    new = recut("d", [Turn("".join(edited), "Ann")], old, size=300)
    known = {content(chunk) for chunk in old}
    assert sum(content(chunk) not in known for chunk in new) <= 3


def test_spaces_between_foreign_words_in_thai_are_no_ends():
    assert cuts("เราใช้ Google Cloud Platform ครับ แล้วก็") == ["เราใช้ Google Cloud Platform ครับ ", "แล้วก็"]


def test_pieces_cover_a_text_of_any_script_without_a_gap_in_linear_time():
    dice = random.Random(5)
    signs = "ab .?!;…؟。！？।።ก ข\u200b\n\"'”’」)]гул.Mr.1,"
    text = "".join(dice.choice(signs) for _ in range(400_000))
    before = time.process_time()
    spans = list(pieces(text, 0, len(text), 1000))
    assert time.process_time() - before < 5
    assert spans[0][0] == 0
    assert spans[-1][1] == len(text)
    assert all(end == start for (_, end), (start, _) in pairwise(spans))
