"""What people saved before UTF-8 is read, and the guess is told."""

import pytest

from core_engine.errors import Unreadable
from core_engine.kg.normalise import normal_form
from core_engine.readers import parts
from core_engine.readers.registry import read
from tests.core_engine.readers.reading import reading_of, said, transcript_of, written

TALKS = {
    "cp1252": (
        "Windows-1252",
        "Ann: Wir müssen die Verträge prüfen, sagte Müller. Ça va très bien.\nBob: “Fine” – it’s señor Núñez.\n",
    ),
    "iso8859_1": ("Windows-1252", "Ann: Não, não é possível.\nBob: Tack så mycket, vi börjar mötet.\n"),
    "cp1250": ("Windows-1250", "Ann: Dzień dobry, proszę państwa, zaczynamy.\nBob: Żółć i gęś, źdźbło.\n"),
    "cp1251": ("Windows-1251", "Анна: Добрый день, начинаем совещание.\nБорис: Да, всё готово.\n"),
    "cp1253": ("Windows-1253", "Ann: Καλημέρα σας, αρχίζουμε τη συνάντηση.\nBob: Ναι, είμαστε έτοιμοι.\n"),
    "cp1254": ("Windows-1254", "Ayşe: Günaydın, toplantıya başlıyoruz.\nBob: Evet, hazırız, başlayalım. İyi.\n"),
    "cp1255": ("Windows-1255", "Ann: בוקר טוב, מתחילים את הפגישה.\nBob: כן, אפשר להתחיל עכשיו.\n"),
    "cp1256": ("Windows-1256", "Ann: صباح الخير، نبدأ الاجتماع الآن.\nBob: نعم، كل شيء جاهز.\n"),
    "cp1257": (
        "Windows-1257",
        "Ona: Labas rytas, pradedame susirinkimą.\nBob: Taip, viskas paruošta, šiandien, ačiū.\n",
    ),
    "koi8_r": ("KOI8-R", "Анна: Добрый день, начинаем совещание.\nБорис: Да, все готово, можно начинать.\n"),
    "cp932": ("Shift-JIS", "田中：おはようございます。会議を始めましょう。\n佐藤：はい、準備はできています。\n"),
    "euc_jp": ("EUC-JP", "田中：おはようございます。会議を始めましょう。\n佐藤：はい、準備はできています。\n"),
    "gb18030": ("GB18030", "王伟：大家好，我们现在开始开会。\n李娜：好的，资料都准备好了，可以开始。\n"),
    "big5": ("Big5", "王偉：大家好，我們現在開始開會。\n李娜：好的，資料都準備好了，可以開始。\n"),
    "cp949": ("EUC-KR", "Ann: 안녕하세요, 회의를 시작하겠습니다.\nBob: 네, 준비가 다 되었습니다.\n"),
    "utf-16-le": ("utf-16-le", "Ann: Hi. How are you, Müller?\nBob: Fine — thanks.\n"),
    "utf-16-be": ("utf-16-be", "Ann: Hi. How are you, Müller?\nBob: Fine — thanks.\n"),
}


@pytest.mark.parametrize("codec", TALKS)
@pytest.mark.parametrize("times", [1, 30])
def test_a_text_is_read_as_what_it_was_saved_as_and_the_guess_is_told(tmp_path, codec, times):
    shown, talk = TALKS[codec]
    reading = reading_of(tmp_path, "a.txt", (talk * times).encode(codec))
    (transcript,) = reading.items
    (expected,) = reading_of(tmp_path, "b.txt", talk * times).items
    assert said(transcript) == said(expected)
    assert [turn.place for turn in transcript.turns] == [turn.place for turn in expected.turns]
    assert reading.encoding == f"{shown} (a guess)"
    (warning,) = transcript.warnings
    assert shown in warning
    assert expected.warnings == ()


def test_the_encoding_shows_even_far_behind_the_beginning(tmp_path):
    talk = "Ann: Hello there.\nBob: Hi.\n" * 5000 + "Ann: Grüße an Müller, schöne Tage.\n"
    transcript = transcript_of(tmp_path, "a.txt", talk.encode("cp1252"))
    assert transcript.turns[-1].text == "Grüße an Müller, schöne Tage."
    assert "Windows-1252" in transcript.warnings[0]


def test_and_in_a_file_that_is_read_in_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "LARGEST", 20_000)
    monkeypatch.setattr(parts, "LEAST", 10_000)
    talk = "Ann: Hello there.\nBob: Hi.\n" * 60_000 + "Ann: Grüße an Müller.\nBob: Schöne Tage.\n" * 900
    items = list(reading_of(tmp_path, "a.txt", talk.encode("cp1252")).items)
    assert len(items) > 50
    assert items[-1].turns[-1].text == "Schöne Tage."
    assert talk[items[-1].turns[-1].place.start :].strip() == "Schöne Tage."
    broken = talk.encode() + b"\xff\xfe oh\n"
    with pytest.raises(Unreadable, match="byte 0xFF") as caught:
        list(read(written(tmp_path, "b.txt", broken)).items)
    assert caught.value.line == talk.count("\n") + 1


def test_json_lines_of_another_encoding_are_read(tmp_path):
    lines = '{"speaker": "Ann", "text": "Grüße aus Köln."}\n{"speaker": "Bob", "text": "Schöne Tage."}\n'
    transcript = transcript_of(tmp_path, "a.jsonl", lines.encode("cp1252"))
    assert said(transcript) == [("Ann", "Grüße aus Köln."), ("Bob", "Schöne Tage.")]
    assert "Windows-1252" in transcript.warnings[0]


def test_line_ends_may_be_mixed_and_places_stay_those_of_the_text(tmp_path):
    talk = "Ann: Hi.\r\nBob: Ho.\nAnn: Well.\rBob: Yes.\n\r\nAnn: Bye.\r\n"
    transcript = transcript_of(tmp_path, "a.txt", talk)
    assert said(transcript) == [("Ann", "Hi."), ("Bob", "Ho."), ("Ann", "Well."), ("Bob", "Yes."), ("Ann", "Bye.")]
    assert [turn.place.line for turn in transcript.turns] == [1, 2, 3, 4, 6]
    assert all(talk[turn.place.start : turn.place.end] == turn.text for turn in transcript.turns)


@pytest.mark.parametrize("mark", ["\u00ad", "\u200b", "\u200f", "\u202e", "\u2060", "\ufeff"])
def test_invisible_marks_stay_in_the_words_and_make_no_other_name(tmp_path, mark):
    transcript = transcript_of(tmp_path, "a.txt", f"Ann: We met Rotter{mark}dam Mills.\nBob: Yes.\nAnn: Good.\n")
    assert transcript.turns[0].text == f"We met Rotter{mark}dam Mills."
    assert normal_form(f"Rotter{mark}dam") == normal_form("Rotterdam")
