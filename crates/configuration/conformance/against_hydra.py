#!/usr/bin/env python3
"""Holds the composer against the real Hydra on random cases.

    against_hydra.py BATCH [--seed N] [--count N] [--kind yaml|text|override|compose|multirun] [--show N]

BATCH is a command that reads cases as JSON lines and writes outcomes (`cargo run --example config_batch`, or
`fulmen config batch`). It needs hydra-core 1.3.8 and omegaconf 2.3. Cases come from a fixed seed unless told
otherwise. A case agrees if both fail, or both succeed with the same tree, types and YAML text.
"""
import argparse
import contextlib
import io
import json
import math
import os
import random
import shlex
import subprocess
import sys
import tempfile
import warnings

from omegaconf import OmegaConf

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override, QuotedString, Sweep

WORDS = ["a", "b", "c", "lr", "net", "size", "name", "x1"]
SCALARS = ["1", "0", "-3", "2.5", "1e3", ".5", "true", "no", "null", "~", "text", "two words", "'q s'", '"d\\n"', "???",
           "0x1F", "010", "1_000", "12:30", "2024-01-02", ".inf", "1.0", "-", "é", "''", "yes", "08", "a:b", "a#b", "1e-7"]
INTERPOLATIONS = ["${a}", "${.b}", "${..c}", "x${lr}y", "${net.size}", "${net[name]}", "${oc.env:FUZZ_X,5}", "\\${a}",
                  "${oc.select:zz,${a}}", "${oc.decode:'[1, 2]'}", "${a", "${}", "${a.${name}}", "${oc.create:{k: 1}}",
                  "${oc.dict.keys:net}", "${oc.env:FUZZ_UNSET}", "${oc.decode:${b}}", "${l.0}", "${name}-${name}",
                  "${oc.create:[1, {z: ${a}}]}", "${oc.dict.values:net}", "${oc.select:.b}", "\\\\${a}", "$${a}"]


TREE_SCALARS = [text for text in SCALARS if text != "-"]
TREE_INTERPOLATIONS = ["${a}", "x${lr}y", "${net}", "${name}", "${oc.env:FUZZ_X,5}", "\\${a}", "${oc.select:zz,${a}}",
                       "${oc.create:[1, 2]}", "${size}-${size}"]


def tree_value(rng, depth):
    """A value for a file of a tree, which mostly composes."""
    roll = rng.random()
    if depth <= 0 or roll < 0.5:
        return rng.choice(TREE_SCALARS)
    if roll < 0.6:
        return rng.choice(TREE_INTERPOLATIONS)
    if roll < 0.7:
        return "[" + ", ".join(rng.choice(["1", "x", "2.5", "null", "'a b'"]) for _ in range(rng.randint(0, 3))) + "]"
    return None


def tree_block(rng, depth, indent):
    lines = []
    for key in rng.sample(WORDS, rng.randint(1, 4)):
        value = tree_value(rng, depth)
        lines.append(f"{' ' * indent}{key}:" + (f" {value}" if value is not None else ""))
        if value is None:
            lines.extend(tree_block(rng, depth - 1, indent + 2))
    return lines


def yaml_value(rng, depth):
    """A value as YAML text: block or flow, now and then a broken one."""
    roll = rng.random()
    if depth <= 0 or roll < 0.45:
        return rng.choice(SCALARS)
    if roll < 0.6:
        text = rng.choice(INTERPOLATIONS)
        return f'"{text}"'.replace("\\", "\\\\") if rng.random() < 0.4 and '"' not in text else text
    if roll < 0.75:
        return "[" + ", ".join(flow_value(rng, depth - 1) for _ in range(rng.randint(0, 3))) + "]"
    if roll < 0.9:
        pairs = (f"{rng.choice(WORDS)}: {flow_value(rng, depth - 1)}" for _ in range(rng.randint(0, 3)))
        return "{" + ", ".join(pairs) + "}"
    return None


def flow_value(rng, depth):
    text = yaml_value(rng, depth)
    if text is None:
        return "1"
    return f"'{text}'" if "${" in text and not text.startswith(('"', "'", "[", "{")) else text


def yaml_block(rng, depth, indent):
    lines = []
    pad = " " * indent
    if rng.random() < 0.15 and indent:
        for _ in range(rng.randint(1, 3)):
            lines.append(f"{pad}- {yaml_value(rng, depth - 1) or '1'}")
        return lines
    for key in rng.sample(WORDS, rng.randint(1, 4)):
        value = yaml_value(rng, depth)
        if value is None and depth > 0:
            lines.append(f"{pad}{key}:")
            lines.extend(yaml_block(rng, depth - 1, indent + rng.choice([2, 2, 2, 4])))
        else:
            lines.append(f"{pad}{key}: {value or ''}".rstrip() if rng.random() < 0.97 else f"{pad}{key}:{value}")
    return lines


def mutate(rng, text, alphabet):
    for _ in range(rng.randint(1, 2)):
        at = rng.randint(0, len(text))
        if rng.random() < 0.5 and at < len(text):
            text = text[:at] + text[at + 1:]
        else:
            text = text[:at] + rng.choice(alphabet) + text[at:]
    return text


def yaml_case(rng):
    text = "\n".join(yaml_block(rng, 3, 0)) + "\n"
    if rng.random() < 0.3:
        text = mutate(rng, text, list(":-,[]{}'\"#&*!|>%@`? \n\t") + ["- ", ": ", "&x ", "*x", "<<: ", "|\n ", "!!str "])
    return {"kind": "interp", "yaml": text}


def text_case(rng):
    """A string of any kind, to see how it is read and written."""
    alphabet = list("ab1 .:-,[]{}'\"#&*!|>%@`?~=+_\\/$\n\té日😀") + ["  ", "${a}", "\\${", "null", "1e3", "word "]
    text = "".join(rng.choice(alphabet) for _ in range(rng.randint(0, rng.choice([3, 6, 30, 120]))))
    return {"kind": "interp", "yaml": json.dumps({"a": 1, "t": text, "l": [text]}, ensure_ascii=False)}


VALUES = ["1", "-2", "2.5", "1e3", "true", "null", "abc", "a b", "'q s'", '"d,q"', "x/y", "a-b", "007", "1_0", "a:b", "\\,",
          "\\\\", "${a}", "${r:1,b}", "@z", "é", "inf", "nan", ".5", "5.", "a.b", "$x", "''", "a\\=b", "?", "*", "+3", "_", "- a"]
FUNCTIONS = ["int", "float", "str", "bool", "choice", "range", "interval", "sort", "shuffle", "tag", "glob", "nope"]


def override_value(rng, depth):
    roll = rng.random()
    if depth <= 0 or roll < 0.55:
        return rng.choice(VALUES)
    inner = lambda: override_value(rng, depth - 1)
    comma = rng.choice([",", ", ", " , "])
    if roll < 0.7:
        return "[" + comma.join(inner() for _ in range(rng.randint(0, 3))) + "]"
    if roll < 0.82:
        return "{" + comma.join(f"{rng.choice(WORDS + ['k k', '1', 'null'])}{rng.choice([':', ': '])}{inner()}"
                                for _ in range(rng.randint(0, 3))) + "}"
    name = rng.choice(FUNCTIONS)
    if name == "range" and rng.random() < 0.8:
        return f"range({comma.join(str(rng.choice([0, 1, 5, 10, -3, 0.1, 2.5, 0.3])) for _ in range(rng.randint(1, 3)))})"
    argument = lambda: (rng.choice(["", "", "", "", "reverse=", "value=", "list=", "start="]) + inner())
    return f"{name}({comma.join(argument() for _ in range(rng.randint(0, 3)))})"


def override_text(rng):
    key = rng.choice(WORDS + ["a.b", "a/b", "a@b", "a.0.b", "$k", "a@_global_", "net/part@p.q", ""])
    text = f"{rng.choice(['', '', '', '+', '++', '~'])}{key}"
    if rng.random() < 0.95:
        value = override_value(rng, 3)
        if rng.random() < 0.15:
            value += "," + override_value(rng, 2)
        text += "=" + value
    if rng.random() < 0.25:
        text = mutate(rng, text, list("=,[]{}()'\"\\ :@/+~.$\t#é!-_0a"))
    return text


def override_case(rng):
    return {"kind": "override_parse", "input": override_text(rng)}


# Real outcomes -------------------------------------------------------------------------------------------------

def plain(value):
    """A value as the corpus writes it in JSON."""
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": repr(value)}
    if isinstance(value, int) and not isinstance(value, bool) and not -2**63 <= value < 2**64:
        return {"$bigint": str(value)}
    if isinstance(value, bytes):
        return {"$bytes": value.hex()}
    if isinstance(value, QuotedString):
        return {"$quoted": value.text, "quote": value.quote.name}
    if isinstance(value, dict):
        if all(isinstance(k, str) and not k.startswith("$") for k in value):
            return {k: plain(v) for k, v in value.items()}
        return {"$map": [[plain(k), plain(v)] for k, v in value.items()]}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, (Glob, Sweep)):
        return {"$repr": type(value).__name__}
    return value


def real_interp(case):
    cfg = OmegaConf.load(io.StringIO(case["yaml"]))
    out = {"yaml": OmegaConf.to_yaml(cfg), "unresolved": plain(OmegaConf.to_container(cfg))}
    try:
        out["resolved"] = plain(OmegaConf.to_container(cfg, resolve=True))
    except Exception as error:
        out["error"] = {"stage": "resolve", "message": f"{type(error).__name__}: {error}"}
    return out


def real_override(case):
    parsed: Override = OverridesParser.create().parse_override(case["input"])
    out = {"type": parsed.type.name, "key": parsed.key_or_group, "package": parsed.package,
           "value_type": parsed.value_type and parsed.value_type.name, "key_element": parsed.get_key_element()}
    if not parsed.is_sweep_override() and not isinstance(parsed._value, Glob):
        out["value_raw"] = plain(parsed._value)
        with contextlib.suppress(Exception):
            out["value_str"] = parsed.get_value_element_as_str()
    elif parsed.is_discrete_sweep() and "glob" not in case["input"]:
        with contextlib.suppress(Exception):
            texts = list(parsed.sweep_string_iterator())
            out["sweep_strings"] = sorted(texts) if getattr(parsed._value, "shuffle", False) else texts
    return {"override": out}


def real_compose(case):
    GlobalHydra.instance().clear()
    with initialize_config_dir(os.path.abspath(f"trees/{case['tree']}"), version_base="1.3", job_name="app"):
        cfg = compose("config", case["overrides"])
        out = {"yaml": OmegaConf.to_yaml(cfg), "unresolved": plain(OmegaConf.to_container(cfg))}
        try:
            out["resolved"] = plain(OmegaConf.to_container(cfg, resolve=True))
        except Exception as error:
            out["error"] = {"stage": "resolve", "message": f"{type(error).__name__}: {error}"}
    return out


def real(case):
    run = {"interp": real_interp, "override_parse": real_override, "compose": real_compose}[case["kind"]]
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            return run(case)
    except RecursionError:
        return None
    except TypeError as error:
        # Hydra's own crash at `~list.0`, which deletes the item here.
        return None if "list indices" in str(error) else {"error": {"stage": "first", "message": repr(error)}}
    except Exception as error:
        return {"error": {"stage": "first", "message": f"{type(error).__name__}: {error}"}}


# Random trees --------------------------------------------------------------------------------------------------

GROUPS = ["model", "data", "model/part", "opt", "exp"]
OPTIONS = ["one", "two", "three"]


def tree_defaults(rng, group, groups):
    entries = []
    for target in rng.sample(groups, rng.randint(0, min(3, len(groups)))):
        relative = target[len(group) + 1:] if group and target.startswith(group + "/") else "/" + target
        if group and not relative.startswith("/") and rng.random() < 0.2:
            relative = "/" + target
        if not group:
            relative = target
        package = rng.choice(["", "", "", "", "@_global_", "@p.q", "@_here_", "@other"])
        keyword = rng.choice(["", "", "", "", "", "", "optional ", "override "])
        option = rng.choice(OPTIONS * 3 + ["null", "[one, two]", "missing" if keyword == "optional " else "one", "${opt}"])
        entries.append(f"- {keyword}{relative}{package}: {option}")
    entries.sort(key=lambda entry: entry.startswith("- override"))
    if rng.random() < 0.7:
        entries.insert(rng.randint(0, sum("override" not in e for e in entries)), "- _self_")
    return entries


def write_tree(rng, folder):
    groups = rng.sample(GROUPS, rng.randint(2, 4))
    files = [("config", "")] + [(f"{g}/{o}", g) for g in groups for o in OPTIONS]
    for path, group in files:
        lines = []
        if group == "exp" or rng.random() < 0.1:
            lines.append(f"# @package {rng.choice(['_global_', '_global_', 'pk', 'a.b'])}")
        if path == "config" or rng.random() < 0.25:
            below = groups if path == "config" else [g for g in groups if g > group]
            entries = tree_defaults(rng, group, below) if below else []
            if entries:
                lines.append("defaults:")
                lines.extend(entries)
        lines.extend(tree_block(rng, 2, 0))
        target = os.path.join(folder, path + ".yaml")
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
    return groups


def compose_overrides(rng, groups):
    overrides = []
    for _ in range(rng.randint(0, 3)):
        if rng.random() < 0.5:
            group = rng.choice(groups)
            value = rng.choice(OPTIONS * 3 + ["[one,two]", "nope"])
            overrides.append(rng.choice([f"{group}={value}", f"{group}={value}", f"+{group}={value}", f"~{group}",
                                         f"{group}@p.q={value}", f"+{group}@p.q={value}"]))
        else:
            key = rng.choice(WORDS) + rng.choice(["", "", ".", "."]) + rng.choice(WORDS + ["0"])
            key = key if "." in key else rng.choice(WORDS)
            value = rng.choice(VALUES[:20] + ["[1,2]", "{a:1}", "{b:{c:1}}"])
            overrides.append(rng.choice([f"{key}={value}", f"+{key}={value}", f"++{key}={value}", f"++{key}={value}", f"~{key}"]))
    return overrides


def compose_cases(rng, count, root):
    for number in range(math.ceil(count / 4)):
        tree = f"t{number}"
        groups = write_tree(rng, os.path.join(root, "trees", tree))
        for _ in range(4):
            yield {"kind": "compose", "tree": tree, "config_name": "config", "overrides": compose_overrides(rng, groups)}


# Comparison ----------------------------------------------------------------------------------------------------

def disagreement(case, want, got):
    """What differs, in words; nothing if the two agree."""
    if want is None:
        return None
    if bool(want.get("error")) != bool(got.get("error")):
        return f"want {want.get('error', 'success')}, got {got.get('error', 'success')}"
    for key, value in want.items():
        random_or_odd = key == "override" and any(word in case["input"] for word in ("shuffle", "glob"))
        if key == "error" or random_or_odd:
            continue
        other = got.get(key)
        if key == "override":
            other = {k: v for k, v in (other or {}).items() if k in value}
        if json.dumps(value, sort_keys=True) != json.dumps(other, sort_keys=True):
            return f"{key}: want {json.dumps(value)}, got {json.dumps(other)}"
    return None


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("batch")
    arguments.add_argument("--seed", type=int, default=7)
    arguments.add_argument("--count", type=int, default=400, help="cases of each kind")
    arguments.add_argument("--kind", choices=["yaml", "text", "override", "compose"])
    arguments.add_argument("--show", type=int, default=5)
    options = arguments.parse_args()
    program, *words = shlex.split(options.batch)
    batch = [os.path.abspath(program), *words]
    os.environ["FUZZ_X"] = "from the environment"
    os.environ.pop("FUZZ_UNSET", None)
    failed = 0
    with tempfile.TemporaryDirectory() as root:
        os.chdir(root)
        kinds = {"yaml": yaml_case, "text": text_case, "override": override_case, "compose": None}
        for kind, make in kinds.items():
            if options.kind not in (None, kind):
                continue
            rng = random.Random(f"{options.seed} {kind}")
            count = options.count
            cases = list(compose_cases(rng, count, root)) if make is None else [make(rng) for _ in range(count)]
            lines = "".join(json.dumps({"id": str(i), **case}) + "\n" for i, case in enumerate(cases))
            answer = subprocess.run(batch, input=lines.encode(), stdout=subprocess.PIPE, check=True).stdout
            outcomes = [json.loads(line)["outcome"] for line in answer.decode().splitlines()]
            bad, succeeded = [], 0
            for case, got in zip(cases, outcomes, strict=True):
                want = real(case)
                succeeded += bool(want) and "error" not in want
                difference = disagreement(case, want, got)
                if difference:
                    bad.append((case, difference))
            print(f"{kind:10} {len(cases) - len(bad)} of {len(cases)} agree ({succeeded} succeed)")
            for case, difference in bad[: options.show]:
                print("  ", json.dumps(case, ensure_ascii=False))
                if case["kind"] == "compose" and options.kind:
                    for folder, _, files in sorted(os.walk(f"trees/{case['tree']}")):
                        for name in sorted(files):
                            print(f"--- {folder}/{name}\n{open(os.path.join(folder, name)).read()}")
                print("     ", difference)
            failed += len(bad)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
