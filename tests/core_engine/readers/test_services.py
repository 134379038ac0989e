"""JSON as services write it: each word once, with its speaker and time, and where it stands."""

import json

import pytest

from core_engine.errors import Unreadable
from core_engine.readers.registry import read
from tests.core_engine.readers.places import assert_in_place
from tests.core_engine.readers.reading import items_of, said, timed, transcript_of, written

TALK = [("0", "Good morning."), ("1", "Hello, Ann. Shall we?"), ("0", "We shall.")]


def words(scale: float = 1, key: str = "word", **more) -> list[dict]:
    """The words of the talk, half a second each, as most services write them."""
    found, time = [], 0.5
    for speaker, text in TALK:
        for word in text.split():
            item = {key: word, "start": time * scale, "end": (time + 0.4) * scale, "speaker": speaker, **more}
            found.append(item if scale == 1 else {**item, "start": int(item["start"]), "end": int(item["end"])})
            time += 0.5
    return found


TEXT = " ".join(text for _, text in TALK)


def whisperx() -> dict:
    segments = [{"start": 0.5, "end": 4.4, "text": " " + TEXT, "words": words(), "speaker": "0"}]
    return {"segments": segments, "word_segments": words(), "language": "en"}


def assemblyai() -> dict:
    utterances, at = [], 0
    for speaker, text in TALK:
        mine = words(1000, "text")[at : at + len(text.split())]
        at += len(mine)
        utterances.append({"speaker": speaker, "text": text, "start": mine[0]["start"], "end": mine[-1]["end"], "words": mine})  # fmt: skip
    return {"id": "x", "status": "completed", "audio_url": "a", "text": TEXT, "words": words(1000, "text"),
            "utterances": utterances, "language_code": "en_us"}  # fmt: skip


def assemblyai_without_speakers() -> dict:
    bare = [{**word, "speaker": None} for word in words(1000, "text")]
    return {"id": "x", "audio_duration": 5, "text": TEXT, "words": bare, "utterances": None}


def deepgram() -> dict:
    said_by = [{**word, "punctuated_word": word["word"], "word": word["word"].lower().strip(",.?"), "speaker": int(word["speaker"])} for word in words()]  # fmt: skip
    best = {"transcript": TEXT, "confidence": 0.9, "words": said_by,
            "paragraphs": {"transcript": "\nSpeaker 0: " + TEXT, "paragraphs": []}}  # fmt: skip
    utterance = {"start": 0.5, "end": 4.4, "channel": 0, "transcript": TEXT, "words": said_by, "speaker": 0}
    return {
        "metadata": {"duration": 5.0},
        "results": {"channels": [{"alternatives": [best]}], "utterances": [utterance]},
    }


def aws(*, labels: bool = False) -> dict:
    items, segments = [], []
    for i, word in enumerate(words()):
        bare = word["word"].rstrip(",.?")
        times = {"start_time": f"{word['start']:.2f}", "end_time": f"{word['end']:.2f}"}
        label = {"speaker_label": f"spk_{word['speaker']}"}
        items.append({"id": i, "type": "pronunciation", "alternatives": [{"confidence": "0.9", "content": bare}], **times, **({} if labels else label)})  # fmt: skip
        segments.append({**times, **label, "items": [{**times, **label}]})
        if bare != word["word"]:
            items.append({"type": "punctuation", "alternatives": [{"confidence": "0.0", "content": word["word"][-1]}]})
    results = {"transcripts": [{"transcript": TEXT}], "items": items}
    if labels:
        results["speaker_labels"] = {"speakers": 2, "segments": segments}
    else:
        results["audio_segments"] = [{"id": 0, "transcript": TEXT, "start_time": "0.5", "end_time": "4.4", "items": []}]
    return {"jobName": "a", "status": "COMPLETED", "results": results}


def google() -> dict:
    def item(word: dict, tag: int) -> dict:
        return {
            "word": word["word"],
            "startTime": f"{word['start']}s",
            "endTime": f"{word['end']:.1f}s",
            "speakerTag": tag,
        }

    plain = [item(word, 0) for word in words()]
    tagged = [item(word, int(word["speaker"]) + 1) for word in words()]
    first = {"alternatives": [{"transcript": "Good morning. Hello, Ann.", "words": plain[:4]}], "languageCode": "en-us"}
    second = {"alternatives": [{"transcript": " Shall we? We shall.", "words": plain[4:]}], "languageCode": "en-us"}
    return {"results": [first, second, {"alternatives": [{"words": tagged}]}]}


def google_v2() -> dict:
    found = [{"word": w["word"], "startOffset": f"{w['start']}s", "endOffset": f"{w['end']:.1f}s", "speakerLabel": w["speaker"]} for w in words()]  # fmt: skip
    best = {"transcript": TEXT, "words": [{**w, "speakerLabel": str(int(w["speakerLabel"]) + 1)} for w in found]}
    return {"results": {"gs://bucket/a.wav": {"transcript": {"results": [{"alternatives": [best]}]}}}}


def otter() -> dict:
    pieces, start = [], 0.5
    for speaker, text in TALK:
        end = start + len(text.split()) / 2
        pieces.append({"transcript": text, "speaker_id": int(speaker), "start_offset": int(start * 16000), "end_offset": int((end - 0.1) * 16000)})  # fmt: skip
        start = end
    speakers = [{"id": 0, "speaker_name": "Ann Lee"}, {"id": 1, "speaker_name": ""}]
    return {"speech": {"title": "Stand-up", "created_at": 1, "transcripts": pieces, "speakers": speakers}}


def rev() -> dict:
    monologues, at = [], 0
    for speaker, text in TALK:
        elements = []
        for word in words()[at : at + len(text.split())]:
            bare = word["word"].rstrip(",.?")
            elements.append({"type": "text", "value": bare, "ts": word["start"], "end_ts": word["end"]})
            elements.append({"type": "punct", "value": word["word"][len(bare) :] + " "})
            at += 1
        monologues.append({"speaker": int(speaker), "elements": elements})
    return {"monologues": monologues}


def speechmatics() -> dict:
    results = []
    for word in words():
        bare, who = word["word"].rstrip(",.?"), f"S{int(word['speaker']) + 1}"
        best = {"content": bare, "speaker": who, "confidence": 1.0, "language": "en"}
        results.append({"type": "word", "start_time": word["start"], "end_time": word["end"], "alternatives": [best]})
        if bare != word["word"]:
            results.append({"type": "punctuation", "attaches_to": "previous", "is_eos": True, "start_time": word["end"],
                            "end_time": word["end"], "alternatives": [{**best, "content": word["word"][-1]}]})  # fmt: skip
    return {"format": "2.9", "job": {"id": "x"}, "metadata": {"type": "transcription"}, "results": results}


def azure(*, fast: bool = False) -> dict:
    phrases, start = [], 0.5
    for speaker, text in TALK:
        length = len(text.split()) / 2 - 0.1
        if fast:
            times = {"offsetMilliseconds": int(start * 1e3), "durationMilliseconds": round(length * 1e3), "text": text}
        else:
            times = {"offsetInTicks": start * 1e7, "durationInTicks": length * 1e7, "nBest": [{"display": text}]}
        phrases.append({"recognitionStatus": "Success", "channel": 0, "speaker": int(speaker), **times})
        start = round(start + length + 0.1, 3)
    return {"combinedPhrases": [{"text": TEXT}], "phrases": phrases} if fast else {"recognizedPhrases": phrases}


def gong() -> dict:
    monologues, start = [], 500
    for speaker, text in TALK:
        end = start + 500 * len(text.split())
        monologues.append({"speakerId": speaker, "topic": "x", "sentences": [{"start": start, "end": end - 100, "text": text}]})  # fmt: skip
        start = end
    return {"requestId": "a", "callTranscripts": [{"callId": "7", "transcript": monologues}]}


NUMBERED = ["Speaker 0", "Speaker 1", "Speaker 0"]
SERVICES = {
    "WhisperX": (whisperx(), NUMBERED),
    "AssemblyAI": (assemblyai(), NUMBERED),
    "Deepgram": (deepgram(), NUMBERED),
    "AWS Transcribe": (aws(), ["spk_0", "spk_1", "spk_0"]),
    "AWS Transcribe, older": (aws(labels=True), ["spk_0", "spk_1", "spk_0"]),
    "Google Speech-to-Text": (google(), ["Speaker 1", "Speaker 2", "Speaker 1"]),
    "Google Speech-to-Text, v2": (google_v2(), ["Speaker 1", "Speaker 2", "Speaker 1"]),
    "Otter": (otter(), ["Ann Lee", "Speaker 1", "Ann Lee"]),
    "Rev": (rev(), NUMBERED),
    "Speechmatics": (speechmatics(), ["S1", "S2", "S1"]),
    "Azure Speech": (azure(), NUMBERED),
    "Azure Speech, fast": (azure(fast=True), NUMBERED),
    "Gong": (gong(), NUMBERED),
}


@pytest.mark.parametrize("name", SERVICES)
def test_a_services_words_are_read_once_with_speakers_and_times(tmp_path, name):
    value, speakers = SERVICES[name]
    transcript = transcript_of(tmp_path, "a.json", json.dumps(value))
    assert said(transcript) == [(who, text) for who, (_, text) in zip(speakers, TALK, strict=True)]
    assert [(start, end) for _, start, end in timed(transcript)] == [(0.5, 1.4), (1.5, 3.4), (3.5, 4.4)]
    assert transcript.metadata["transcribed_by"] == name.split(",")[0]
    assert transcript.warnings == ()


@pytest.mark.parametrize("name", [name for name in SERVICES if name != "Rev"])
def test_a_services_words_stand_at_their_place(tmp_path, name):
    raw = json.dumps(SERVICES[name][0])
    assert_in_place(raw, transcript_of(tmp_path, "a.json", raw))


def test_a_services_answers_may_stand_one_a_line(tmp_path):
    lines = "".join(json.dumps({"id": str(i), **SERVICES[name][0]}) + "\n" for i, name in enumerate(SERVICES))
    items = items_of(tmp_path, "a.jsonl", lines)
    assert [item.metadata["transcribed_by"] for item in items] == [name.split(",")[0] for name in SERVICES]
    assert {item.turns[0].place.line for item in items} == set(range(1, len(SERVICES) + 1))


def test_sentences_have_times_of_their_own(tmp_path):
    transcript = transcript_of(tmp_path, "a.json", json.dumps(deepgram()))
    turn = transcript.turns[1]
    assert [(turn.text[mark.at :], mark.start, mark.end) for mark in turn.marks] == [
        ("Hello, Ann. Shall we?", 1.5, 2.4),
        ("Shall we?", 2.5, 3.4),
    ]


def test_whisperx_segments_of_one_speaker_stay_as_they_are_and_a_word_without_time_follows_its_neighbour(tmp_path):
    value = {"segments": [
        {"start": 0, "end": 1, "text": " It cost 40 euros.", "speaker": "SPEAKER_00", "words": [
            {"word": "It", "start": 0, "end": 0.2, "speaker": "SPEAKER_00"}, {"word": "cost", "start": 0.2, "end": 0.4, "speaker": "SPEAKER_00"},
            {"word": "40"}, {"word": "euros.", "start": 0.7, "end": 1, "speaker": "SPEAKER_00"}]},
        {"start": 1, "end": 2, "text": " What?", "speaker": "SPEAKER_01", "words": [{"word": "What?", "start": 1, "end": 2, "speaker": "SPEAKER_01"}]},
    ]}  # fmt: skip
    assert said(transcript_of(tmp_path, "a.json", json.dumps(value))) == [
        ("SPEAKER_00", "It cost 40 euros."),
        ("SPEAKER_01", "What?"),
    ]


def test_whisper_cpp_counts_milliseconds(tmp_path):
    value = {"systeminfo": "x", "result": {"language": "en"}, "transcription": [
        {"timestamps": {"from": "00:00:00,000", "to": "00:00:01,500"}, "offsets": {"from": 0, "to": 1500}, "text": " Hi"},
        {"timestamps": {"from": "00:00:01,500", "to": "00:00:02,000"}, "offsets": {"from": 1500, "to": 2000}, "text": " there."},
    ]}  # fmt: skip
    transcript = transcript_of(tmp_path, "a.json", json.dumps(value))
    assert (said(transcript), timed(transcript)) == ([(None, "Hi there.")], [(None, 0.0, 2.0)])
    assert transcript.metadata == {"language": "en", "transcribed_by": "whisper.cpp"}


def test_youtubes_events_are_captions_in_milliseconds(tmp_path):
    value = {"wireMagic": "pb3", "events": [
        {"tStartMs": 0, "dDurationMs": 5000, "wpWinPosId": 1},
        {"tStartMs": 160, "dDurationMs": 2000, "segs": [{"utf8": "hello"}, {"utf8": " and", "tOffsetMs": 300}]},
        {"tStartMs": 2160, "dDurationMs": 10, "aAppend": 1, "segs": [{"utf8": "\n"}]},
        {"tStartMs": 2170, "dDurationMs": 3000, "segs": [{"utf8": "welcome"}]},
    ]}  # fmt: skip
    raw = json.dumps(value)
    transcript = transcript_of(tmp_path, "a.json", raw)
    assert (said(transcript), timed(transcript)) == ([(None, "hello and welcome")], [(None, 0.16, 5.17)])
    assert [mark.start for mark in transcript.turns[0].marks] == [0.16, 2.17]
    assert_in_place(raw, transcript)


def test_recalls_participants_are_the_speakers_of_their_words(tmp_path):
    def piece(name: str | None, *spoken: tuple[str, float]) -> dict:
        timed_words = [{"text": word, "start_timestamp": {"relative": at}, "end_timestamp": {"relative": at + 0.4}} for word, at in spoken]  # fmt: skip
        return {"participant": {"id": 100, "name": name}, "words": timed_words}

    raw = json.dumps([piece("Ann Lee", ("Good", 0.5), ("morning.", 1)), piece(None, ("Hi.", 2))])
    transcript = transcript_of(tmp_path, "a.json", raw)
    assert said(transcript) == [("Ann Lee", "Good morning."), ("Speaker 100", "Hi.")]
    assert timed(transcript) == [("Ann Lee", 0.5, 1.4), ("Speaker 100", 2.0, 2.4)]
    assert_in_place(raw, transcript)


def test_a_list_of_turns_may_stand_deep_with_its_title_beside_it(tmp_path):
    sentences = [{"speaker_name": "Ann Lee", "text": "Hello.", "start_time": 1}, {"speaker_name": "Bob", "text": "Hi.", "start_time": 2}]  # fmt: skip
    value = {"data": {"transcript": {"id": "x", "title": "Weekly", "sentences": sentences}}}
    transcript = transcript_of(tmp_path, "a.json", json.dumps(value))
    assert said(transcript) == [("Ann Lee", "Hello."), ("Bob", "Hi.")]
    assert (transcript.title, transcript.metadata) == ("Weekly", {"id": "x"})
    utterances = [{"speaker": 0, "text": "Hello.", "start": 1, "end": 2}, {"speaker": 1, "text": "Hi.", "start": 2, "end": 3}]  # fmt: skip
    value = {"status": "done", "result": {"transcription": {"utterances": utterances}}}
    assert said(transcript_of(tmp_path, "a.json", json.dumps(value))) == [("Speaker 0", "Hello."), ("Speaker 1", "Hi.")]


def test_a_speaker_may_be_an_object_with_a_name_to_show(tmp_path):
    value = {"transcript": [{"speaker": {"display_name": "Ann Lee"}, "text": "Hello.", "timestamp": "00:00:05"}]}
    assert said(transcript_of(tmp_path, "a.json", json.dumps(value))) == [("Ann Lee", "Hello.")]


def test_assemblyai_without_speakers_has_one_text_with_times(tmp_path):
    transcript = transcript_of(tmp_path, "a.json", json.dumps(assemblyai_without_speakers()))
    assert said(transcript) == [(None, TEXT)]
    assert timed(transcript) == [(None, 0.5, 4.4)]


def test_two_channels_of_a_call_are_put_in_the_order_of_time(tmp_path):
    def channel(*spoken: tuple[str, float]) -> dict:
        items = [{"word": word, "start": time, "end": time + 0.5} for word, time in spoken]
        return {"alternatives": [{"transcript": " ".join(word for word, _ in spoken), "words": items}]}

    value = {"results": {"channels": [channel(("Hello?", 0), ("Fine.", 4)), channel(("Hi.", 1), ("You?", 2))]}}
    assert said(transcript_of(tmp_path, "a.json", json.dumps(value))) == [
        ("Speaker 0", "Hello?"),
        ("Speaker 1", "Hi. You?"),
        ("Speaker 0", "Fine."),
    ]


def test_an_analysed_call_of_aws_names_its_parties(tmp_path):
    value = {"Transcript": [
        {"ParticipantRole": "AGENT", "BeginOffsetMillis": 500, "EndOffsetMillis": 900, "Content": "Hello."},
        {"ParticipantRole": "CUSTOMER", "BeginOffsetMillis": 1000, "EndOffsetMillis": 1900, "Content": "Hi."},
    ]}  # fmt: skip
    transcript = transcript_of(tmp_path, "a.json", json.dumps(value))
    assert timed(transcript) == [("Agent", 0.5, 0.9), ("Customer", 1.0, 1.9)]


def test_deepgram_without_words_is_read_by_its_paragraphs(tmp_path):
    sentences = [{"text": "Hello.", "start": 0, "end": 1}, {"text": "So.", "start": 1, "end": 2}]
    paragraphs = [
        {"sentences": sentences, "speaker": 0},
        {"sentences": [{"text": "Yes.", "start": 2, "end": 3}], "speaker": 1},
    ]
    best = {"transcript": "Hello. So. Yes.", "paragraphs": {"paragraphs": paragraphs}}
    raw = json.dumps({"results": {"channels": [{"alternatives": [best]}]}})
    transcript = transcript_of(tmp_path, "a.json", raw)
    assert said(transcript) == [
        ("Speaker 0", "Hello. So."),
        ("Speaker 1", "Yes."),
    ]
    assert_in_place(raw, transcript)


@pytest.mark.parametrize(
    "value",
    [
        {"results": {"channels": [{"alternatives": [{"transcript": "", "words": []}]}]}},
        {"results": [{"alternatives": [{"transcript": ""}]}]},
        {"monologues": [{"speaker": 0, "elements": [{"type": "punct", "value": " "}]}]},
        {"speech": {"transcripts": [{"transcript": " ", "start_offset": 0}]}},
        {"results": {"transcripts": [{"transcript": ""}], "items": [{}]}},
    ],
)
def test_a_services_answer_without_words_says_so(tmp_path, value):
    with pytest.raises(Unreadable, match="nothing is said in it"):
        read(written(tmp_path, "a.json", json.dumps(value)))


def test_podcasting_words_are_joined_and_punctuation_stands_where_it_belongs(tmp_path):
    spoken = [("Ann", "Hello"), ("Ann", ","), ("Ann", "you"), ("Ann", "!"), ("Bob", "Hi"), ("Bob", ".")]
    segments = [
        {"speaker": who, "startTime": i, "endTime": i + 0.5, "body": word} for i, (who, word) in enumerate(spoken)
    ]
    raw = json.dumps({"version": "1.0.0", "segments": segments})
    transcript = transcript_of(tmp_path, "a.json", raw)
    assert said(transcript) == [("Ann", "Hello, you!"), ("Bob", "Hi.")]
    assert_in_place(raw, transcript)


def test_a_speaker_name_of_5000_characters_is_cut_and_told(tmp_path):
    value = [{"speaker": "A" * 5000, "text": "Hi."}, {"speaker": "Bob", "text": "Ho."}]
    transcript = transcript_of(tmp_path, "a.json", json.dumps(value))
    assert [len(turn.speaker) for turn in transcript.turns] == [200, 3]
    assert transcript.warnings == ("/0/text: a speaker's name is cut to 200 characters",)
