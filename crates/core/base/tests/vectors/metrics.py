"""Makes metrics.json: what the reference implementations say of samples in uneven batches.

    pip install torch==2.15.0 torchmetrics==1.9.0 pycocotools==2.0.11 sacrebleu==2.6.0 \
        rouge_score==0.1.2 jiwer==4.0.0 sktime==1.2.0 numpy==2.4.6
    python metrics.py

A case names the data it is of, the metric with its settings, and what the reference says of all batches together. In values, null is
"not a number" and "inf" infinite. Kinds of data: classes, values, forecasts, texts, boxes; each a list of batches.
"""

import contextlib
import io
import json
import warnings
from pathlib import Path

import jiwer
import numpy as np
import sacrebleu
import torch
import torchmetrics.functional.classification as tc
import torchmetrics.functional.regression as tr
import torchmetrics.functional.segmentation as ts
import torchmetrics.functional.text as tt
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from rouge_score.rouge_scorer import RougeScorer
from sktime.performance_metrics.forecasting import mean_absolute_scaled_error

warnings.filterwarnings("ignore")
random = np.random.default_rng(7)
data, cases = {}, []


def plain(value):
    """A JSON value of a reference's value."""
    value = float(value)
    return None if np.isnan(value) else "inf" if np.isinf(value) else value


def case(of, reference, target, expected, **settings):
    if not isinstance(expected, dict):
        flat = np.asarray(expected, dtype=float).reshape(-1)
        expected = {"": flat[0]} if np.ndim(expected) == 0 else {str(i): v for i, v in enumerate(flat)}
    expected = {name: plain(value) for name, value in expected.items()}
    cases.append({"data": of, "reference": reference, "metric": {"_target_": target, **settings}, "expected": expected})


def split(rows, sizes):
    assert sum(sizes) == len(rows)
    parts, start = [], 0
    for size in sizes:
        parts.append(rows[start : start + size])
        start += size
    return parts


def batches(name, kind, sizes, **columns):
    """Keeps the samples in batches of these sizes."""
    parts = {key: split(np.asarray(rows).tolist() if not isinstance(rows, list) else rows, sizes) for key, rows in columns.items()}
    data[name] = {"kind": kind, "batches": [dict(zip(parts, batch)) for batch in zip(*parts.values())]}


# --- classes -------------------------------------------------------------------------------------------------------
def classes(name, logits, targets, sizes, ignore_index=None, top_k=True):
    logits, targets = np.round(logits, 2), np.asarray(targets)
    batches(name, "classes", sizes, logits=logits, targets=targets)
    scores, truth = torch.tensor(logits, dtype=torch.float64), torch.tensor(targets)
    count = scores.shape[1]
    ignore = {"ignore_index": ignore_index} if ignore_index is not None else {}
    told = {} if ignore_index == -100 else ignore
    options = {"num_classes": count, **ignore}
    for average in ["micro", "macro", "weighted", "none"]:
        one = {**options, "average": average}
        case(name, "torchmetrics", "accuracy", tc.multiclass_accuracy(scores, truth, **one), average=average, **told)
        case(name, "torchmetrics", "precision", tc.multiclass_precision(scores, truth, **one), average=average, **told)
        case(name, "torchmetrics", "recall", tc.multiclass_recall(scores, truth, **one), average=average, **told)
        case(name, "torchmetrics", "f1", tc.multiclass_f1_score(scores, truth, **one), average=average, **told)
        case(name, "torchmetrics", "fbeta", tc.multiclass_fbeta_score(scores, truth, beta=0.5, **one), average=average, beta=0.5, **told)
        case(name, "torchmetrics", "jaccard_index", tc.multiclass_jaccard_index(scores, truth, **one), average=average, **told)
        if average != "micro":
            case(name, "torchmetrics", "auroc", tc.multiclass_auroc(scores.float(), truth, **one), average=average, **told)
            precision = tc.multiclass_average_precision(scores.float(), truth, **one)
            # A class without samples is no number there, and 0 here where each class is told.
            precision = torch.nan_to_num(precision) if average == "none" else precision
            if average == "weighted":
                support = torch.bincount(truth[truth != (ignore_index if ignore_index is not None else -1)], minlength=count).double()
                each = torch.nan_to_num(tc.multiclass_average_precision(scores.float(), truth, **{**one, "average": "none"}))
                precision = (each * support).sum() / support.sum()
            case(name, "torchmetrics", "average_precision", precision, average=average, **told)
    if top_k and ignore_index is None:
        for metric, function in [("accuracy", tc.multiclass_accuracy), ("precision", tc.multiclass_precision), ("recall", tc.multiclass_recall)]:
            for average in ["micro", "macro"]:
                case(name, "torchmetrics", metric, function(scores, truth, top_k=2, average=average, **options), top_k=2, average=average)
    for normalize in ["none", "true", "pred", "all"]:
        matrix = tc.multiclass_confusion_matrix(scores, truth, normalize=normalize, **options)
        entries = {f"{i}_{j}": matrix[i, j] for i in range(count) for j in range(count)}
        case(name, "torchmetrics", "confusion_matrix", entries, normalize=normalize, **told)
    for norm in ["l1", "l2", "max"]:
        error = tc.multiclass_calibration_error(scores.float(), truth, n_bins=5, norm=norm, **options)
        case(name, "torchmetrics", "calibration_error", error, n_bins=5, norm=norm, **told)
    flat = scores.movedim(1, -1).reshape(1, -1, count)
    case(name, "torchmetrics", "perplexity", tt.perplexity(flat, truth.reshape(1, -1), ignore_index=ignore_index), **told)
    if ignore_index is None:
        hot = lambda labels: torch.nn.functional.one_hot(labels, count).movedim(-1, 1)
        for average in ["micro", "macro", "weighted", "none"]:
            for background in [True, False]:
                value = ts.dice_score(hot(scores.argmax(1)).reshape(*scores.shape, 1), hot(truth).reshape(*scores.shape, 1), count, background, average, aggregation_level="global")
                value = torch.nan_to_num(value).squeeze(0)
                case(name, "torchmetrics", "dice", value, average=average, include_background=background)


logits = random.normal(size=(12, 4)) * 2
logits[5], logits[9] = logits[1], logits[2]  # scores that tie
classes("absent_class", logits, [0, 1, 2, 2, 1, 0, 0, 1, 1, 2, 0, 2], [5, 6, 1])
classes("single_class", random.normal(size=(4, 3)), [2, 2, 2, 2], [1, 3])
classes("padded", random.normal(size=(9, 3)), [0, -100, 2, 1, -100, 0, 2, 2, -100], [4, 2, 3], ignore_index=-100)
classes("segmented", random.normal(size=(3, 3, 2, 3)), random.integers(0, 3, size=(3, 2, 3)), [2, 1], top_k=False)
classes("segmented_with_void", random.normal(size=(3, 3, 2, 2)), random.choice([0, 1, 2, 255], size=(3, 2, 2)), [1, 2], ignore_index=255)
classes("segmented_without_background", random.normal(size=(3, 3, 2, 2)), [[[0, 1], [2, 2]], [[1, 0], [0, 2]], [[1, 1], [2, 1]]], [1, 2], ignore_index=0)


def binary(name, logits, targets, sizes, shape=None):
    logits, targets = np.round(logits, 2), np.asarray(targets)
    batches(name, "classes", sizes, logits=logits.reshape(shape or logits.shape), targets=targets)
    scores, truth = torch.tensor(logits, dtype=torch.float32), torch.tensor(targets)
    for metric, function in [
        ("accuracy", tc.binary_accuracy),
        ("precision", tc.binary_precision),
        ("recall", tc.binary_recall),
        ("f1", tc.binary_f1_score),
        ("jaccard_index", tc.binary_jaccard_index),
        ("auroc", tc.binary_auroc),
        ("average_precision", tc.binary_average_precision),
        ("calibration_error", tc.binary_calibration_error),
    ]:
        case(name, "torchmetrics", metric, function(scores, truth))
    case(name, "torchmetrics", "accuracy", tc.binary_accuracy(scores, truth), average="macro")
    matrix = tc.binary_confusion_matrix(scores, truth)
    case(name, "torchmetrics", "confusion_matrix", {f"{i}_{j}": matrix[i, j] for i in range(2) for j in range(2)})


yes = np.round(random.normal(size=10) * 2, 1)
yes[3], yes[4] = yes[7], yes[8]
binary("binary", yes, [1, 0, 1, 1, 0, 0, 1, 0, 0, 1], [4, 5, 1])
binary("binary_column", random.normal(size=5) * 2, [1, 0, 1, 1, 0], [2, 3], shape=(5, 1))
binary("binary_without_positives", random.normal(size=4) * 2, [0, 0, 0, 0], [3, 1])

# --- values --------------------------------------------------------------------------------------------------------


def numbers(name, predictions, targets, sizes, r2=True):
    predictions, targets = np.round(predictions, 3), np.round(targets, 3)
    batches(name, "values", sizes, predictions=predictions, targets=targets)
    p, t = torch.tensor(predictions), torch.tensor(targets)
    case(name, "torchmetrics", "mean_squared_error", tr.mean_squared_error(p, t))
    case(name, "torchmetrics", "root_mean_squared_error", tr.mean_squared_error(p, t, squared=False))
    case(name, "torchmetrics", "mean_absolute_error", tr.mean_absolute_error(p, t))
    case(name, "torchmetrics", "mean_absolute_percentage_error", tr.mean_absolute_percentage_error(p, t))
    case(name, "torchmetrics", "symmetric_mean_absolute_percentage_error", tr.symmetric_mean_absolute_percentage_error(p, t))
    case(name, "torchmetrics", "mean_absolute_scaled_error", tr.mean_absolute_error(p, t) / 0.5, scale=0.5)
    if r2:
        for output in ["uniform_average", "variance_weighted", "raw_values"]:
            value = tr.r2_score(p, t, multioutput=output)
            value = value.reshape(-1) if output == "raw_values" else value
            case(name, "torchmetrics", "r2_score", value, multioutput=output)


truth = random.normal(size=(11, 3)) * 3
numbers("columns", truth + random.normal(size=(11, 3)), truth, [6, 4, 1])
truth = random.normal(size=7) + 2
numbers("column", truth + random.normal(size=7) * 0.3, truth, [1, 6])
truth = np.array([0.0, 1.0, 0.0, -2.0, 0.0])
numbers("zeros", truth + np.array([0.0, 0.5, 0.0, 0.25, 1.0]), truth, [2, 3])
truth = np.stack([np.full(5, 2.5), np.arange(5.0)], 1)
numbers("constant_column", truth + np.round(random.normal(size=(5, 2)), 3), truth, [4, 1])
numbers("one_sample", np.array([1.0]), np.array([2.0]), [1], r2=False)
case("one_sample", "definition", "r2_score", float("nan"))

history = np.round(np.cumsum(random.normal(size=(5, 12)), 1), 3)
forecast, truth = np.round(random.normal(size=(5, 3)), 3), np.round(random.normal(size=(5, 3)), 3)
batches("series", "forecasts", [2, 2, 1], predictions=forecast, targets=truth, history=history)
for season in [1, 4]:
    errors = [mean_absolute_scaled_error(t, p, y_train=h, sp=season) for t, p, h in zip(truth, forecast, history)]
    case("series", "sktime", "mean_absolute_scaled_error", np.mean(errors), seasonality=season)
case("series", "torchmetrics", "mean_absolute_error", tr.mean_absolute_error(torch.tensor(forecast), torch.tensor(truth)))

# --- texts ---------------------------------------------------------------------------------------------------------


def texts(name, predictions, references, sizes, exact=True):
    batches(name, "texts", sizes, predictions=predictions, references=references)
    most = max(map(len, references))
    streams = [[r[i] if i < len(r) else None for r in references] for i in range(most)]
    for smooth, method, value in [("exp", "exp", None), ("add_one", "add-k", 1), ("none", "none", None)]:
        bleu = sacrebleu.corpus_bleu(predictions, streams, smooth_method=method, smooth_value=value)
        case(name, "sacrebleu", "bleu", bleu.score / 100, smooth=smooth)
    bleu = sacrebleu.corpus_bleu(predictions, streams, lowercase=True)
    case(name, "sacrebleu", "bleu", bleu.score / 100, lowercase=True)
    case(name, "torchmetrics", "bleu", tt.bleu_score(predictions, references), tokenize="none", smooth="none")
    case(name, "torchmetrics", "bleu", tt.bleu_score(predictions, references, n_gram=2), tokenize="none", smooth="none", n_gram=2)
    keys = ["rouge1", "rouge2", "rougeL"]
    scores = [RougeScorer(keys).score_multi(r, p) for p, r in zip(predictions, references)]
    part = lambda key, part: np.mean([getattr(score[key], part) for score in scores])
    parts = {f"{key}_{name}": part(key, name) for key in keys for name in ["precision", "recall", "fmeasure"]}
    case(name, "rouge_score", "rouge", parts)
    case(name, "rouge_score", "rouge", {k: v for k, v in parts.items() if k.startswith("rougeL")}, rouge_keys=["rougeL"])
    if most == 1:
        single = [r[0] for r in references]
        case(name, "torchmetrics", "word_error_rate", tt.word_error_rate(predictions, single))
        case(name, "torchmetrics", "char_error_rate", tt.char_error_rate(predictions, single))
        if all(single):
            case(name, "jiwer", "word_error_rate", jiwer.wer(single, predictions))
            case(name, "jiwer", "char_error_rate", jiwer.cer(single, predictions))


texts(
    "spoken",
    ["the cat sat on mat", "hello", "", "it is a guide to action which ensures that the military always obeys"],
    [["the cat sat on the mat"], ["hello there world"], ["nothing was heard"], ["it is a guide to action that ensures that the military will for ever heed"]],
    [2, 1, 1],
)
texts(
    "translated",
    [
        "The quick brown fox jumps over the lazy dog, on 3.5 hills -- it's 1,000 m high!",
        "Prices rose 5-10 % in 2023; \"why\", they asked.",
        "A completely different sentence ...",
        "R&amp;D costs <skipped> were $5.00 (five), 3.and a-b",
        "naïve façade, über 20-jährige",
    ],
    [
        ["The quick brown fox jumped over the lazy dog, on 3.5 hills - it is 1,000 m high!", "A quick brown fox jumps over a lazy dog on hills."],
        ["Prices rose 5-10 % in 2023: \"why?\", they asked."],
        ["One that shares nothing", "with it at all", "different sentence"],
        ["R&D costs were $5.00 (five), 3. and a-b", "costs of research"],
        ["naïve façade, über 20-jährige", "the naive facade"],
    ],
    [3, 1, 1],
)
texts("short", ["a b", "c"], [["a b"], ["d"]], [1, 1])
texts("silence", ["", ""], [[""], ["word"]], [1, 1])
batches("noise", "texts", [1], predictions=["some words"], references=[[""]])
case("noise", "torchmetrics", "word_error_rate", tt.word_error_rate(["some words"], [""]))

# --- boxes ---------------------------------------------------------------------------------------------------------
NAMES = ["map", "map_50", "map_75", "map_small", "map_medium", "map_large", "mar_1", "mar_10", "mar_100", "mar_small", "mar_medium", "mar_large"]


def coco(images, truths, found):
    """COCO's own program on images of true and found boxes (left, top, right, bottom)."""
    wide = lambda b: [b[0], b[1], b[2] - b[0], b[3] - b[1]]
    annotations, results = [], []
    for image, (there, boxes) in enumerate(zip(truths, found)):
        for i, box in enumerate(there["boxes"]):
            x, y, w, h = wide(box)
            area = there["area"][i] if "area" in there else w * h
            crowd = int(there["crowd"][i]) if "crowd" in there else 0
            annotations.append({"id": len(annotations) + 1, "image_id": image, "category_id": there["labels"][i], "bbox": [x, y, w, h], "area": area, "iscrowd": crowd})
        for box, score, label in zip(boxes["boxes"], boxes["scores"], boxes["labels"]):
            x, y, w, h = wide(box)
            results.append({"id": len(results) + 1, "image_id": image, "category_id": label, "bbox": [x, y, w, h], "area": w * h, "iscrowd": 0, "score": score})
    labels = sorted({a["category_id"] for a in annotations + results})

    def dataset(annotations):
        made = COCO()
        made.dataset = {"info": {}, "images": [{"id": i} for i in range(images)], "categories": [{"id": c, "name": str(c)} for c in labels], "annotations": annotations}
        made.createIndex()
        return made

    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(dataset(annotations), dataset(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    mean = lambda values: values[values > -1].mean() if (values > -1).any() else -1.0
    precision, recall = evaluation.eval["precision"], evaluation.eval["recall"]
    each = {}
    for place, label in enumerate(labels):
        each[f"map_per_class/{label}"] = mean(precision[:, :, place, 0, 2])
        each[f"mar_100_per_class/{label}"] = mean(recall[:, place, 0, 2])
    return dict(zip(NAMES, evaluation.stats)), each


def boxes(name, truths, found, sizes):
    batches(name, "boxes", sizes, predictions=found, targets=truths)
    whole, each = coco(len(truths), truths, found)
    case(name, "pycocotools", "mean_average_precision", whole)
    case(name, "pycocotools", "mean_average_precision", {**whole, **each}, class_metrics=True)


def half(value):
    return np.round(np.asarray(value) * 2) / 2


def scene(objects, extra, labels, **more):
    """True boxes of all sizes, and boxes found near them and elsewhere."""
    side = np.exp(random.uniform(np.log(8), np.log(200), size=(objects, 2)))
    corner = random.uniform(0, 300, size=(objects, 2))
    there = half(np.concatenate([corner, corner + side], 1))
    kinds = random.integers(0, labels, size=objects)
    near = [there + half(random.normal(size=there.shape) * np.concatenate([side, side], 1) * spread) for spread in (0.02, 0.1)]
    left = random.uniform(0, 300, size=(extra, 2))
    away = half(np.concatenate([left, left + random.uniform(10, 150, size=(extra, 2))], 1))
    found = np.concatenate([*near, away])
    found[:, 2:] = np.maximum(found[:, 2:], found[:, :2] + 1)
    guessed = np.concatenate([kinds, kinds, random.integers(0, labels + 1, size=extra)])
    scores = random.integers(8, 64, size=len(found)) / 64
    truth = {"boxes": there.tolist(), "labels": kinds.tolist(), **more}
    return truth, {"boxes": found.tolist(), "scores": scores.tolist(), "labels": guessed.tolist()}


nothing_there, nothing_found = {"boxes": [], "labels": []}, {"boxes": [], "scores": [], "labels": []}
scenes = [scene(6, 4, 3), scene(3, 0, 3), scene(8, 3, 3), scene(2, 5, 3)]
scenes.append((nothing_there, scene(0, 3, 3)[1]))
scenes.append((scene(3, 0, 3)[0], nothing_found))
scenes.append((nothing_there, nothing_found))
boxes("found", [s[0] for s in scenes], [s[1] for s in scenes], [3, 1, 2, 1])
scenes = [scene(5, 12, 2, crowd=[False, True, False, False, True]), scene(4, 2, 2, area=[100.0, 5000.0, 20000.0, 1024.0])]
boxes("crowds_and_areas", [s[0] for s in scenes], [s[1] for s in scenes], [1, 1])
there, found = scene(14, 80, 1)
found["labels"] = [0] * len(found["labels"])
boxes("more_than_a_hundred", [there], [found], [1])
boxes("nothing_found", [scene(2, 0, 2)[0], scene(1, 0, 2)[0]], [nothing_found, nothing_found], [1, 1])
boxes("nothing_there", [nothing_there, nothing_there], [scene(0, 2, 2)[1], nothing_found], [1, 1])
squares = [[0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10], [60, 0, 70, 10]]
boxes(
    "overlap_at_a_threshold",
    [{"boxes": squares, "labels": [0, 0, 0, 0]}],
    [{"boxes": [[0, 0, 10, 6], [20, 0, 30, 7], [40, 0, 50, 5], [60, 0, 70, 10]], "scores": [0.5, 0.5, 0.25, 0.75], "labels": [0, 0, 0, 0]}],
    [1],
)

path = Path(__file__).with_suffix(".json")
lines = lambda items: ",\n".join(json.dumps(item, separators=(",", ":")) for item in items)
named = ",\n".join(f"{json.dumps(name)}:{json.dumps(of, separators=(',', ':'))}" for name, of in data.items())
path.write_text("{\"data\":{\n" + named + "\n},\"cases\":[\n" + lines(cases) + "\n]}\n")
print(f"{len(cases)} cases, {path.stat().st_size} bytes")
