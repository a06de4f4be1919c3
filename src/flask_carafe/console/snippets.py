"""The same call as curl, Python and JavaScript: made from the very input on the page, ready to be pasted and run."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

from markupsafe import Markup

from ..signature import Field

MOST_ITEMS = 12  # longer lists are cut short in what is shown; what is copied is whole
COMMENT = r"(?P<c>(?:^|(?<=\s))(?:#|//)[^\n]*)"
STRING = r"(?P<s>'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")"
NUMBER = r"(?P<n>(?<![\w.:/])-?\d[\d_.]*(?:e[+-]?\d+)?\b)"
WORDS = {
    "curl": "curl",
    "python": "import|from|as|with|open|print|for|in|True|False|None",
    "javascript": "const|await|new|for|of|true|false|null",
}


LONGEST_ROW = 4000  # characters of JSON; a longer row is read from a file in place of being shown


class Snippet(NamedTuple):
    """One way to call: ``text`` is what runs, ``html`` the same with its words coloured."""

    id: str
    label: str
    text: str
    html: Markup


def snippets(url: str, row: Mapping[str, Any], fields: Sequence[Field], streams: bool = False) -> list[Snippet]:
    """The call of ``row`` at ``url``; rows that hold files are sent as a form, all others as JSON.

    :param streams: the answer comes value by value.
    """
    files = {field.name: field for field in fields if field.kind in ("image", "document") and _is_file(row.get(field.name))}
    if files:
        made = _form_call(url, row, files)
    elif streams:
        made = _stream_call(url, row)
    else:
        made = _saved_call(url) if len(json.dumps(row)) > LONGEST_ROW else _json_call(url, row)
    return [Snippet(key, label, text, coloured(text, language)) for (key, label, language), text in zip(LABELS, made, strict=True)]


LABELS = (
    ("curl", "curl", "curl"), ("requests", "Python", "python"), ("stdlib", "urllib", "python"), ("fetch", "JavaScript", "javascript"),
)  # fmt: skip


def _is_file(value: Any) -> bool:
    return value is None or (isinstance(value, Mapping) and "file" in value)


def _json_call(url: str, row: Mapping[str, Any]) -> tuple[str, str, str, str]:
    body = pretty(row)
    python = as_python(row)
    return (
        f"curl {shell(url)} \\\n  -H 'Content-Type: application/json' \\\n  -d {shell(_indented(body, 2))}",
        f'import requests\n\nreply = requests.post(\n    {quoted(url)},\n    json={_indented(python, 4)},\n)\nprint(reply.json()["prediction"])',
        "import json\nfrom urllib.request import Request, urlopen\n\n"
        f"row = {python}\n"
        f'request = Request(\n    {quoted(url)},\n    data=json.dumps(row).encode(),\n    headers={{"Content-Type": "application/json"}},\n)\n'
        'with urlopen(request) as reply:\n    print(json.load(reply)["prediction"])',
        f'const reply = await fetch({quoted(url)}, {{\n  method: "POST",\n  headers: {{ "Content-Type": "application/json" }},\n'
        f"  body: JSON.stringify({_indented(body, 2)}),\n}});\nconst {{ prediction }} = await reply.json();",
    )


def _saved_call(url: str) -> tuple[str, str, str, str]:
    """The call of a row that is too long to read: it is in a file."""
    return (
        f"# row.json: one row, as its fields say\ncurl {shell(url)} \\\n  -H 'Content-Type: application/json' \\\n  -d @row.json",
        "import json\n\nimport requests\n\n# row.json: one row, as its fields say\n"
        f'reply = requests.post(\n    {quoted(url)},\n    json=json.load(open("row.json")),\n)\nprint(reply.json()["prediction"])',
        "import json\nfrom urllib.request import Request, urlopen\n\n# row.json: one row, as its fields say\n"
        f'request = Request(\n    {quoted(url)},\n    data=open("row.json", "rb").read(),\n    headers={{"Content-Type": "application/json"}},\n)\n'
        'with urlopen(request) as reply:\n    print(json.load(reply)["prediction"])',
        f'// row: one row, as its fields say\nconst reply = await fetch({quoted(url)}, {{\n  method: "POST",\n'
        '  headers: { "Content-Type": "application/json" },\n  body: JSON.stringify(row),\n});\nconst { prediction } = await reply.json();',
    )


def _stream_call(url: str, row: Mapping[str, Any]) -> tuple[str, str, str, str]:
    body = pretty(row)
    python = as_python(row)
    lines = (
        "    if line.startswith(b\"event:\"):\n        break  # the end, or an error that the next line tells\n"
        "    if line.startswith(b\"data:\"):\n        print(json.loads(line[5:]))"
    )
    return (
        f"curl -N {shell(url)} \\\n  -H 'Content-Type: application/json' \\\n  -d {shell(_indented(body, 2))}",
        f"import json\n\nimport requests\n\nreply = requests.post(\n    {quoted(url)},\n    json={_indented(python, 4)},\n    stream=True,\n)\n"
        f"for line in reply.iter_lines():\n{lines}",
        "import json\nfrom urllib.request import Request, urlopen\n\n"
        f"row = {python}\n"
        f'request = Request(\n    {quoted(url)},\n    data=json.dumps(row).encode(),\n    headers={{"Content-Type": "application/json"}},\n)\n'
        f"for line in urlopen(request):\n{lines}",
        f'const reply = await fetch({quoted(url)}, {{\n  method: "POST",\n  headers: {{ "Content-Type": "application/json" }},\n'
        f"  body: JSON.stringify({_indented(body, 2)}),\n}});\n"
        "const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();\n"
        'let rest = "";\nfor (let part = await reader.read(); !part.done; part = await reader.read()) {\n'
        '  const events = (rest + part.value).split("\\n\\n");\n  rest = events.pop();\n'
        '  for (const event of events)\n    if (event.startsWith("data:")) console.log(JSON.parse(event.slice(5)));\n}',
    )


def _form_call(url: str, row: Mapping[str, Any], files: Mapping[str, Field]) -> tuple[str, str, str, str]:
    names = {name: _file_name(row.get(name), field) for name, field in files.items()}
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in row.items() if name not in files and value is not None}
    curl = [f"curl {shell(url)}", *(f"  -F {shell(f'{name}=@{_in_form(file)}')}" for name, file in names.items())]
    curl += [f"  --form-string {shell(f'{name}={text}')}" for name, text in texts.items()]
    opened = ", ".join(f'{quoted(name)}: open({quoted(file)}, "rb")' for name, file in names.items())
    data = f",\n    data={as_python(texts)}" if texts else ""
    requests = f'import requests\n\nreply = requests.post(\n    {quoted(url)},\n    files={{{opened}}}{data},\n)\nprint(reply.json()["prediction"])'
    appended = [f'form.append({quoted(name)}, file);  // {file}: from an <input type="file">' for name, file in names.items()]
    appended += [f"form.append({quoted(name)}, {quoted(text)});" for name, text in texts.items()]
    fetch = "const form = new FormData();\n" + "\n".join(appended)
    fetch += f'\nconst reply = await fetch({quoted(url)}, {{ method: "POST", body: form }});\nconst {{ prediction }} = await reply.json();'
    return " \\\n".join(curl), requests, _stdlib_files(url, texts, names), fetch


def _stdlib_files(url: str, texts: Mapping[str, str], names: Mapping[str, str]) -> str:
    """Files travel inside JSON as base64 where there is no library to build a form with."""
    coded = ", ".join(f'{quoted(name)}: base64.b64encode(open({quoted(file)}, "rb").read()).decode()' for name, file in names.items())
    plain = "".join(f", {quoted(name)}: {quoted(text)}" for name, text in texts.items())
    return (
        "import base64\nimport json\nfrom urllib.request import Request, urlopen\n\n"
        f"row = {{{coded}{plain}}}\n"
        f'request = Request(\n    {quoted(url)},\n    data=json.dumps(row).encode(),\n    headers={{"Content-Type": "application/json"}},\n)\n'
        'with urlopen(request) as reply:\n    print(json.load(reply)["prediction"])'
    )


def _file_name(value: Any, field: Field) -> str:
    sent = value.get("file") if isinstance(value, Mapping) else ""
    return sent or ("picture.png" if field.kind == "image" else "document.pdf")


def _in_form(file: str) -> str:
    """A file's name as ``curl -F`` reads it: quoted where a letter would end it.

    >>> print(_in_form("a b.png"), _in_form('a;"b".png'))
    a b.png "a;\\"b\\".png"
    """
    return '"' + re.sub(r'(["\\])', r"\\\1", file) + '"' if re.search(r'[;,"\\]', file) else file


def pretty(value: Any, depth: int = 0) -> str:
    """JSON over lines; lists of plain values stay on one, as people write them.

    >>> print(pretty({"a": [1, 2], "b": {}}))
    {
      "a": [1, 2],
      "b": {}
    }
    """
    inside, outside = "  " * (depth + 1), "  " * depth
    if isinstance(value, Mapping) and value:
        items = [f"{inside}{json.dumps(key, ensure_ascii=False)}: {pretty(item, depth + 1)}" for key, item in value.items()]
        return "{\n" + ",\n".join(items) + f"\n{outside}}}"
    if isinstance(value, list | tuple) and any(isinstance(item, Mapping | list | tuple) for item in value):
        return "[\n" + ",\n".join(inside + pretty(item, depth + 1) for item in value) + f"\n{outside}]"
    return json.dumps(value, ensure_ascii=False)


def shell(text: str) -> str:
    """One word of a shell.

    >>> print(shell("it's"))
    'it'\\''s'
    """
    return "'" + text.replace("'", "'\\''") + "'" if re.search(r"[^\w@%+=:,./-]", text) else text


def quoted(text: str) -> str:
    """A string literal that is the same in Python and JavaScript."""
    return json.dumps(text)


def as_python(value: Any, depth: int = 0) -> str:
    """A JSON value as a Python literal, laid out over lines where it is long.

    >>> as_python({"a": True, "b": None})
    '{"a": True, "b": None}'
    """
    if isinstance(value, Mapping):
        items = [f"{quoted(key)}: {as_python(item, depth + 1)}" for key, item in value.items()]
        return _laid_out("{", "}", items, depth)
    if isinstance(value, list | tuple):
        flat = "[" + ", ".join(as_python(item) for item in value) + "]"
        return flat if len(flat) < 400 else _laid_out("[", "]", [as_python(item, depth + 1) for item in value], depth, wrap=True)
    return quoted(value) if isinstance(value, str) else repr(value)


def _laid_out(left: str, right: str, items: list[str], depth: int, wrap: bool = False) -> str:
    line = left + ", ".join(items) + right
    if len(line) <= 60:
        return line
    inside, outside = "    " * (depth + 1), "    " * depth
    if wrap:
        items = [", ".join(items[i : i + MOST_ITEMS]) for i in range(0, len(items), MOST_ITEMS)]
    return left + "\n" + "".join(f"{inside}{item},\n" for item in items) + outside + right


def _indented(text: str, spaces: int) -> str:
    return text.replace("\n", "\n" + " " * spaces)


def coloured(text: str, language: str) -> Markup:
    """``text`` escaped, with strings, numbers, words and comments in spans."""
    parts, at = [], 0
    for found in PATTERNS[language].finditer(text):
        parts += [escape(text[at : found.start()], False), f'<span class="{found.lastgroup}">', escape(found.group(), False), "</span>"]
        at = found.end()
    return Markup("".join([*parts, escape(text[at:], False)]))  # every piece was escaped above


PATTERNS = {language: re.compile(rf"{COMMENT}|{STRING}|(?P<k>\b(?:{words})\b)|{NUMBER}") for language, words in WORDS.items()}
