"""Tiny speech models in ONNX with random weights, with the inputs, outputs and metadata of those that sherpa-onnx runs.

Each takes the mean of its whole input from every frame, so that padding would change its answers.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper, parser

HEADER = '<ir_version: 8, opset_import: ["" : 13]>'
MELS, STACKED = 80, 560  # of a frame, and of the seven that a Paraformer takes at a time
WIDTH, STRIDE = 16, 4
WORDS = [" he", "l", "lo", " wor", "ld", " good", " bye", "s", " yes", " no", "w", " a"]
LETTERS = ["你", "好", "世", "界", "再", "见", "hel@@", "lo", "good", "bye", "天", "气"]
STACKING = {"lfr_window_size": "7", "lfr_window_shift": "6"}


def write_onnx(path: Path, graph: str, weights: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> None:
    """`graph`: in ONNX's text form, without what `weights` holds."""
    model = parser.parse_model(f"{HEADER} {graph}")
    for name, values in weights.items():
        model.graph.initializer.append(numpy_helper.from_array(values, name))
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=value)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def write_tokens(folder: Path, tokens: Sequence[str]) -> None:
    lines = [f"{token.replace(' ', '▁')} {index}\n" for index, token in enumerate(tokens)]
    (folder / "tokens.txt").write_text("".join(lines), encoding="utf-8")


def random_weights(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32)


def write_paraformer(folder: Path, width: int = WIDTH, layers: int = 1) -> None:
    """A token a frame of 60 ms, which begins where the first of the frame's three thirds has a peak.

    Args:
        width, layers: Width and number of feed-forward layers, each with four times as many hidden units.
    """
    tokens = ["<blank>", "<s>", "</s>", *LETTERS]
    count = len(tokens)
    weights = {
        "inwards": random_weights(STACKED, width) / STACKED**0.5,
        "outwards": random_weights(width, count),
        "bias": np.array([-1e6] * 3 + [0] * len(LETTERS), np.float32),
        "zero": np.zeros(1, np.float32),
        "peaks": np.array([1, 0, 0], np.float32),
        "flat": np.array([0, -1]),
        "at_0": np.array([0]),
        "at_1": np.array([1]),
        "on_1": np.array([1]),
    }
    hidden = ""
    for layer in range(layers):
        weights[f"up_{layer}"] = random_weights(width, 4 * width, seed=layer) / width**0.5
        weights[f"down_{layer}"] = random_weights(4 * width, width, seed=layer) / (4 * width) ** 0.5
        hidden += f"""
            wide_{layer} = MatMul(h_{layer}, up_{layer})
            bent_{layer} = Relu(wide_{layer})
            more_{layer} = MatMul(bent_{layer}, down_{layer})
            h_{layer + 1} = Add(h_{layer}, more_{layer})"""
    graph = f"""
        paraformer (float[N, T, {STACKED}] speech, int32[N] speech_lengths)
            => (float[N, T, {count}] logits, int32[N] token_num, float[N, U] us_alphas, float[N, P] us_cif_peak)
        {{
            mean = ReduceMean <axes = [1]> (speech)
            centred = Sub(speech, mean)
            h_0 = MatMul(centred, inwards)
            {hidden}
            scores = MatMul(h_{layers}, outwards)
            logits = Add(scores, bias)
            token_num = Identity(speech_lengths)
            one = ReduceMax <axes = [2]> (speech)
            nothing = Mul(one, zero)
            thirds = Add(nothing, peaks)
            us_alphas = Reshape(thirds, flat)
            first = Slice(us_alphas, at_0, at_1, on_1)
            us_cif_peak = Concat <axis = 1> (us_alphas, first)
        }}
    """
    metadata = {
        "model_type": "paraformer",
        "vocab_size": str(count),
        "neg_mean": ",".join(["-8"] * STACKED),
        "inv_stddev": ",".join(["0.2"] * STACKED),
        **STACKING,
    }
    write_onnx(folder / "model.onnx", graph, weights, metadata)
    write_tokens(folder, tokens)


def write_sense_voice(folder: Path) -> None:
    """Four tokens about the recording, which the graph always says, and then the text."""
    about = ["<|zh|>", "<|NEUTRAL|>", "<|Speech|>", "<|withitn|>"]
    tokens = ["<blank>", *about, *LETTERS[:6], " yes", " no"]
    count = len(tokens)
    graph = """
        sense_voice (float[N, T, 560] x, int32[N] x_length, int32[N] language, int32[N] text_norm)
            => (float[N, L, count] logits)
        {
            mean = ReduceMean <axes = [1]> (x)
            centred = Sub(x, mean)
            scores = MatMul(centred, weights)
            text = Add(scores, bias)
            logits = Concat <axis = 1> (about, text)
        }
    """.replace("count", str(count))
    weights = {
        "weights": random_weights(STACKED, count),
        "bias": np.array([0] + [-1e6] * 4 + [0] * (count - 5), np.float32),
        "about": np.eye(count, dtype=np.float32)[None, 1:5],
    }
    languages = {f"lang_{code}": str(index) for index, code in enumerate(("auto", "zh", "en", "ja", "ko", "yue"))}
    metadata = {
        "model_type": "sense_voice_ctc",
        "vocab_size": str(count),
        "normalize_samples": "0",
        "with_itn": "14",
        "without_itn": "15",
        "neg_mean": ",".join(["-8"] * STACKED),
        "inv_stddev": ",".join(["0.2"] * STACKED),
        **languages,
        **STACKING,
    }
    write_onnx(folder / "model.onnx", graph, weights, metadata)
    write_tokens(folder, tokens)


# Every fourth frame, and how many they are.
STRIDED = """
            mean = ReduceMean <axes = [1]> (x)
            spread = Sub(x, mean)
            fourth = Slice(spread, first, last, on_time, stride)
            more = Add(x_lens, three)
            lengths = Div(more, stride)
"""
STRIDED_WEIGHTS = {
    "first": np.array([0]),
    "last": np.array([2**31 - 1]),
    "on_time": np.array([1]),
    "stride": np.array([STRIDE]),
    "three": np.array([STRIDE - 1]),
}


def write_zipformer_ctc(folder: Path) -> None:
    tokens = ["<blk>", "<sos/eos>", "<unk>", *WORDS]
    graph = f"""
        zipformer_ctc (float[N, T, {MELS}] x, int64[N] x_lens)
            => (float[N, L, {len(tokens)}] log_probs, int64[N] lengths)
        {{
            {STRIDED}
            scores = MatMul(fourth, weights)
            log_probs = LogSoftmax <axis = 2> (scores)
        }}
    """
    weights = {"weights": random_weights(MELS, len(tokens)), **STRIDED_WEIGHTS}
    write_onnx(folder / "model.onnx", graph, weights, {"model_type": "zipformer2_ctc"})
    write_tokens(folder, tokens)


def write_nemo_ctc(folder: Path) -> None:
    tokens = [*WORDS, "<blk>"]
    graph = f"""
        nemo_ctc (float[N, {MELS}, T] audio_signal, int64[N] x_lens) => (float[N, L, {len(tokens)}] logprobs)
        {{
            x = Transpose <perm = [0, 2, 1]> (audio_signal)
            {STRIDED}
            scores = MatMul(fourth, weights)
            logprobs = LogSoftmax <axis = 2> (scores)
        }}
    """
    weights = {"weights": random_weights(MELS, len(tokens)), **STRIDED_WEIGHTS}
    metadata = {
        "model_type": "EncDecCTCModelBPE",
        "vocab_size": str(len(WORDS)),
        "subsampling_factor": str(STRIDE),
        "normalize_type": "per_feature",
    }
    write_onnx(folder / "model.onnx", graph, weights, metadata)
    write_tokens(folder, tokens)


def write_zipformer_transducer(folder: Path) -> None:
    """In float32 and, the encoder alone, as another model that is called its int8 version."""
    tokens = ["<blk>", "<sos/eos>", "<unk>", *WORDS]
    encoder = f"""
        encoder (float[N, T, {MELS}] x, int64[N] x_lens) => (float[N, L, {WIDTH}] encoder_out, int64[N] lengths)
        {{
            {STRIDED}
            encoder_out = MatMul(fourth, weights)
        }}
    """
    decoder = f"""
        decoder (int64[N, 2] y) => (float[N, {WIDTH}] decoder_out)
        {{
            known = Abs(y)
            embedded = Gather(embedding, known)
            decoder_out = ReduceSum(embedded, on_time)
        }}
    """.replace("ReduceSum(embedded, on_time)", "ReduceSum <keepdims = 0> (embedded, on_time)")
    joiner = f"""
        joiner (float[N, {WIDTH}] encoder_out, float[N, {WIDTH}] decoder_out) => (float[N, {len(tokens)}] logit)
        {{
            both = Add(encoder_out, decoder_out)
            logit = MatMul(both, weights)
        }}
    """
    for ending, seed in (("", 1), (".int8", 2)):
        weights = {"weights": random_weights(MELS, WIDTH, seed=seed), **STRIDED_WEIGHTS}
        write_onnx(folder / f"encoder-epoch-9-avg-1{ending}.onnx", encoder, weights, {"model_type": "zipformer2"})
    weights = {"embedding": random_weights(len(tokens), WIDTH), "on_time": np.array([1])}
    metadata = {"vocab_size": str(len(tokens)), "context_size": "2"}
    write_onnx(folder / "decoder-epoch-9-avg-1.onnx", decoder, weights, metadata)
    write_onnx(
        folder / "joiner-epoch-9-avg-1.onnx", joiner, {"weights": random_weights(WIDTH, len(tokens), seed=3)}, {}
    )
    write_tokens(folder, tokens)


def write_nemo_transducer(folder: Path) -> None:
    tokens = [*WORDS, "<blk>"]
    encoder = f"""
        encoder (float[N, {MELS}, T] audio_signal, int64[N] x_lens) => (float[N, {WIDTH}, L] outputs, int64[N] lengths)
        {{
            x = Transpose <perm = [0, 2, 1]> (audio_signal)
            {STRIDED}
            wide = MatMul(fourth, weights)
            outputs = Transpose <perm = [0, 2, 1]> (wide)
        }}
    """
    decoder = f"""
        decoder (int32[N, 1] targets, int32[N] target_length, float[1, N, {WIDTH}] state, float[1, N, {WIDTH}] cell)
            => (float[N, {WIDTH}, 1] outputs, int32[N] length,
                float[1, N, {WIDTH}] next_state, float[1, N, {WIDTH}] next_cell)
        {{
            embedded = Gather(embedding, targets)
            outputs = Transpose <perm = [0, 2, 1]> (embedded)
            length = Identity(target_length)
            next_state = Identity(state)
            next_cell = Identity(cell)
        }}
    """
    joiner = f"""
        joiner (float[N, {WIDTH}, T] encoder_outputs, float[N, {WIDTH}, U] decoder_outputs)
            => (float[N, T, U, {len(tokens)}] outputs)
        {{
            both = Add(encoder_outputs, decoder_outputs)
            wide = Transpose <perm = [0, 2, 1]> (both)
            scores = MatMul(wide, weights)
            outputs = Unsqueeze(scores, on_2)
        }}
    """
    metadata = {
        "model_type": "EncDecRNNTBPEModel",
        "vocab_size": str(len(WORDS)),
        "subsampling_factor": str(STRIDE),
        "normalize_type": "per_feature",
        "pred_rnn_layers": "1",
        "pred_hidden": str(WIDTH),
        "feat_dim": str(MELS),
    }
    weights = {"weights": random_weights(MELS, WIDTH), **STRIDED_WEIGHTS}
    write_onnx(folder / "encoder.onnx", encoder, weights, metadata)
    write_onnx(folder / "decoder.onnx", decoder, {"embedding": random_weights(len(tokens), WIDTH)}, {})
    weights = {"weights": random_weights(WIDTH, len(tokens), seed=3), "on_2": np.array([2])}
    write_onnx(folder / "joiner.onnx", joiner, weights, {})
    write_tokens(folder, tokens)


WRITERS: Mapping[str, Callable[[Path], None]] = {
    "paraformer": write_paraformer,
    "sense_voice": write_sense_voice,
    "zipformer_ctc": write_zipformer_ctc,
    "nemo_ctc": write_nemo_ctc,
    "zipformer_transducer": write_zipformer_transducer,
    "nemo_transducer": write_nemo_transducer,
}


def write_models(folder: Path) -> dict[str, Path]:
    """One of each kind, in a folder of its own."""
    for kind, write in WRITERS.items():
        (folder / kind).mkdir()
        write(folder / kind)
    return {kind: folder / kind for kind in WRITERS}
