"""kg view: the page that it writes, and of what."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.kg import Kg


def _data(kg: Kg, name: str = "graph.html") -> dict[str, Any]:
    text = (kg.folder / name).read_text("utf-8")
    (found,) = re.findall(r'id="data">(.*?)</script>', text, re.DOTALL)
    data: dict[str, Any] = json.loads(found)
    return data


def test_the_whole_graph_is_one_page(made: Kg) -> None:
    ran = made("view")
    assert ran.code == 0, ran.err
    assert ran.out.startswith("graph.html: ")
    names = {node[1] for node in _data(made)["nodes"]}
    assert {row["name"] for row in made.graph()["entities"]} == names


def test_what_surrounds_an_entity_is_a_page_of_its_own(made: Kg) -> None:
    told = made("view", "quill", "systems", "--depth", 1, "-o", "out/quill.html", "--json").report
    data = _data(made, "out/quill.html")
    assert data["title"] == "Around Quill Systems"
    assert data["nodes"][0][1] == "Quill Systems"
    assert data["centre"] == data["nodes"][0][0]
    assert told["entities"] == len(data["nodes"])
    by_id = made("view", data["centre"], "--depth", 1, "-o", "by-id.html")
    assert by_id.code == 0
    assert _data(made, "by-id.html") == data


def test_of_several_that_are_called_so_the_others_are_named(made: Kg) -> None:
    ran = made("view", "i")
    assert ran.code == 0
    assert "also called so: " in ran.err


def test_the_limit_keeps_the_heaviest_and_says_how_many_there_are(made: Kg) -> None:
    ran = made("view", "--limit", 2)
    assert "2 entities" in ran.out
    assert "--limit shows more" in ran.out
    assert len(_data(made)["nodes"]) == 2


def test_nobody_of_that_name_is_said_and_writes_nothing(made: Kg) -> None:
    ran = made("view", "zyzzyva")
    assert ran.code == 1
    assert "no entity is called 'zyzzyva'" in ran.err
    assert not (made.folder / "graph.html").exists()


def test_the_same_graph_gives_the_same_page(made: Kg) -> None:
    made("view", "-o", "a.html")
    made("view", "-o", "b.html")
    assert (made.folder / "a.html").read_bytes() == (made.folder / "b.html").read_bytes()


def test_names_in_any_script_are_found_by_a_part_and_nothing_by_nothing(kg: Kg) -> None:
    (kg.folder / "t.txt").write_text(
        "Özlem Kaya: Anna went to Łódź with Анна Петрова.\nАнна Петрова: Özlem Kaya was there as well.\n" * 3, "utf-8"
    )
    kg.process("t.txt")
    for asked in ("özlem", "Özlem", "анна", "Петрова"):
        assert kg("view", asked).code == 0, asked
    ran = kg("view", " ")
    assert ran.code == 1
    assert "no entity" in ran.err


def test_a_folder_is_no_file_to_write(made: Kg) -> None:
    for words in (["view"], ["export"], ["report", "--format", "html"]):
        ran = made(*words, "--out", ".")
        assert ran.code == 1
        assert "--out . is a folder" in ran.err
