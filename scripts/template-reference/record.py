"""What Hugging Face transformers makes of chat templates, recorded as vectors for the tests of our own renderer.

    python3 scripts/template-reference/record.py            writes the vectors anew (needs Jinja2 3.1; see docs/templates.md)
    python3 scripts/template-reference/record.py --render   {"template", "context"} per line in; the same with "text" or
                                                            "error" out, without what shows an address in memory

The environment is that of transformers' chat_template_utils.py: a sandbox without mutation, blocks trimmed,
break and continue, the `generation` tag, its own `tojson`, `raise_exception` and `strftime_now`.
"""

import datetime
import hashlib
import importlib.metadata
import json
import pathlib
import platform
import re
import sys

import jinja2
import jinja2.ext
import jinja2.sandbox

here = pathlib.Path(__file__).resolve().parent
root = here.parent.parent
templates = root.parent / "shared" / "data" / "tokenizers" / "chat-templates"
engine = root / "electron" / "engine"

NOW = datetime.datetime(2025, 3, 4, 5, 6, 7, 89000)  # a Tuesday; what `strftime_now` says in every vector


class Generation(jinja2.ext.Extension):
    """{% generation %} marks what the model wrote, for training; it renders its body."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

    def _body(self, caller):
        return caller()


def _compile_jinja_template():
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
    )

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def strftime_now(format):
        return NOW.strftime(format)

    environment.filters["tojson"] = tojson
    environment.globals["raise_exception"] = raise_exception
    environment.globals["strftime_now"] = strftime_now
    return environment


environment = _compile_jinja_template()


def error_of(error):
    if isinstance(error, jinja2.TemplateSyntaxError):
        return {"error": {"type": type(error).__name__, "message": error.message, "line": error.lineno}}
    # Python adds the line of the code that Jinja2 generated.
    message = str(error).split(" (<template>, line")[0]
    return {"error": {"type": type(error).__name__, "message": message}}


def render(compiled, context):
    """What transformers passes: `tools` and `documents` are always there, None if there are none."""
    if isinstance(compiled, Exception):
        return error_of(compiled)
    try:
        text = compiled.render(**{"tools": None, "documents": None, "bos_token": "<s>", "eos_token": "</s>", **context})
        return {"text": text}
    except Exception as error:
        return error_of(error)


def compile_template(source):
    try:
        return environment.from_string(source)
    except Exception as error:
        return error


def digest(text):
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def write_lines(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (json.dumps(value, ensure_ascii=False, separators=(",", ":")) for value in values)
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")


def sources():
    """(name, source) of the default model's template and of every one of the shared folder."""
    code = (engine / "testing" / "templates.ts").read_text(encoding="utf-8")
    own = json.loads(re.search(r'export const tinyLlama =\s*(".*");', code).group(1))
    return [
        ("TinyLlama", own),
        *((path.stem, path.read_text(encoding="utf-8")) for path in sorted(templates.glob("*.jinja"))),
    ]


def versions():
    return {
        "python": platform.python_version(),
        "jinja2": importlib.metadata.version("jinja2"),
        "markupsafe": importlib.metadata.version("markupsafe"),
    }


def record_chats():
    from conversations import conversations

    def results(source):
        compiled = compile_template(source)
        for conversation in conversations:
            result = render(compiled, conversation["context"])
            yield digest(result["text"]) if "text" in result else result

    write_lines(engine / "testdata" / "conversations.jsonl", conversations)
    write_lines(
        engine / "testdata" / "chat-vectors.jsonl",
        [{"template": name, "digest": digest(source), "results": list(results(source))} for name, source in sources()],
    )


def record_language():
    from language_context import context

    def cases():
        for line in (here / "language.txt").read_text(encoding="utf-8").split("\n"):
            # A line that starts with "# " is a heading, except where a template is about such lines.
            if line == "" or (line.startswith("# ") and line != "# for x in y"):
                continue
            template = line.replace("⏎", "\n").replace("␍", "\r")
            yield {"template": template, **render(compile_template(template), context)}

    write_lines(engine / "jinja" / "testdata" / "language.jsonl", [{"context": context}, *cases()])


def render_lines():
    for line in sys.stdin:
        job = json.loads(line)
        result = render(compile_template(job["template"]), job["context"])
        if not re.search(" [ab]t 0x[0-9a-f]+>", json.dumps(result), re.IGNORECASE):
            print(json.dumps({**job, **result}, ensure_ascii=False, separators=(",", ":")))


if __name__ == "__main__":
    if "--render" in sys.argv:
        render_lines()
    else:
        if not templates.is_dir():
            sys.exit(f"There is no folder {templates}, so that nothing is recorded.")
        record_chats()
        record_language()
        write_lines(engine / "testdata" / "reference.jsonl", [versions()])
        print(f"Recorded: {versions()}")
