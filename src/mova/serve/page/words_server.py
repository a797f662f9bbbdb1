"""What the server says, in Chinese: its codes of errors, and its sentences about a request and a wording.

The API speaks English. An error is told in Chinese by its sentence where that is known, else by its code, else by the
field that it is about and the nearest value; what is none of these stays as it is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

CODES: Final[Mapping[str, str]] = {
    "too_long": "文本过长。",
    "too_large": "文件或请求过大。",
    "too_slow": "上传太慢，已中断，请重试。",
    "decoder_timeout": "文件解码用时过长。",
    "decoder_crashed": "无法解码该文件。",
    "decoder_memory": "解码该文件所需内存过多。",
    "too_many_queued": "排队的视频已达上限，请稍后再试。",
    "rate_limit_exceeded": "请求过于频繁，请稍等片刻。",
    "too_many": "密钥错误次数过多，请稍等一分钟。",
    "too_many_bytes": "您的视频占用的空间已达上限，请先删除一些。",
    "too_many_seconds": "今天可生成的视频时长已用完。",
    "busy": "服务器正忙，请稍后再试。",
    "unavailable": "服务器暂时不可用，请稍后再试。",
    "internal_error": "服务器未能完成，请重试。",
    "disk_full": "服务器磁盘已满。",
    "not_found": "找不到该视频，可能已被删除。",
    "file_gone": "该视频的文件已不存在。",
    "input_gone": "生成所用的素材已不存在。",
    "wrong_state": "视频当前的状态不允许此操作。",
    "wrong_model": "该视频属于另一个模型。",
    "content_policy": "内容未通过此服务器的内容过滤。",
    "not_admin": "此操作需要管理员密钥。",
    "foreign": "此请求不是来自本服务器的页面。",
    "not_implemented": "此服务器还不支持这项功能。",
    "key_reused": "同一请求编号已用于另一个请求。",
    "key_gone": "该请求的视频已被删除。",
    # Why a clip has failed.
    "worker_lost": "制作进程多次中断，不再重试。",
    "quarantined": "此视频多次导致制作进程崩溃，不再重试。",
    "out_of_memory": "内存不足：请减少帧数或减小尺寸。",
    "input_unreadable": "无法读取素材文件。",
    "not_finite": "计算结果无效，请换个种子或设置。",
    "model_unusable": "模型文件无法使用。",
    "not_written": "无法写入视频文件。",
    "wrong_order": "设置与模型不符。",
    "failed": "制作失败，原因见服务器日志。",
}
"""Chinese by the code of an error."""

SENTENCES: Final = (
    # Values of fields.
    (
        "{} must be at most {most} on this server, got {}; nearest is {near}",
        "此服务器上最大为 {most}；最接近的是 {near}。",
    ),
    ("size must have at most {most} pixels on this server, got {}", "此服务器上每帧最多 {most} 像素。"),
    ("{} must be at most {most}, got {}; nearest is {near}", "最大为 {most}；最接近的是 {near}。"),
    ("{} must be at most {most} pixels, got {}; nearest is {near}", "最大为 {most} 像素；最接近的是 {near}。"),
    ("{} must be at most {most} for {count} variants, got {}; nearest is {}", "数量为 {count} 时种子最大为 {most}。"),
    (
        "{} must be a positive multiple of {step}, got {}; nearest {} {near}",
        "必须是 {step} 的倍数；最接近的是 {near}。",
    ),
    (
        "frames must be 1 plus a multiple of {step}, got {}; nearest {} {near}",
        "帧数必须是 {step} 的倍数加 1；最接近的是 {near}。",
    ),
    ("{} must be a whole number {}, got {}; nearest is {near}", "超出范围；最接近的是 {near}。"),
    ("{} must be a whole number, got {value}", "必须是整数，收到的是 {value}。"),
    ("{} must be a finite number, got {value}", "必须是数字，收到的是 {value}。"),
    ("{} must be more than 0 and at most {most}, got {}; nearest is {}", "必须大于 0，最大为 {most}。"),
    ("size must read WIDTHxHEIGHT in pixels, got {}; for example {like}", "尺寸应写成“宽x高”（像素），例如 {like}。"),
    ("{} must have at most {most} characters, got {count}", "最多 {most} 个字符，现有 {count} 个。"),
    ("prompt must hold text{}", "提示词不能为空。"),
    # Media.
    (
        "video and audio are both given, so nothing is left to generate{}",
        "视频和声音不能同时提供：请只保留一个。",
    ),
    ("video already holds the frames{}", "已提供视频，请移除首帧和末帧图像。"),
    (
        "audio must last as long as the clip ({} frames, {need} s){}, got {} of {have} s{}",
        "声音太短：需要 {need} 秒，只有 {have} 秒。",
    ),
    ("an image must have at most {most} pixels, got {}", "图像最多 {most} 像素。"),
    ("an image must be {}", "无法读取该图像。"),
    ("frames of a video must have at most {most} pixels, got {}", "视频每帧最多 {most} 像素。"),
    ("start_s must lie inside the video, got {} s for {} of {have} s", "开始时间超出视频长度（{have} 秒）。"),
    ("a media file must be decodable, got {}", "无法解码该文件。"),
    ("a video must have a video stream, got {}", "该文件中没有画面。"),
    ("an audio file must have an audio stream, got {}", "该文件中没有声音。"),
    ("{name} must still be there, and is not", "素材已不存在：{name}。"),
    # Parts of a clip made anew, and clips that go on.
    ("retake must say which seconds are made anew{}", "请说明哪几秒要重新生成。"),
    ("retake must be A-B{}", "时间段应写成“开始-结束”（秒）。"),
    ("retake must leave a part of the clip as it is{}", "必须保留视频的一部分。"),
    ("keep_{} must hold at least one whole latent frame{}", "保留的部分太短。"),
    ("retake {}", "时间段须在视频之内，先开始后结束，且互不重叠。"),
    ("{} must be more than 0 and at most {most}, got {}; nearest is {near}", "必须大于 0，最大为 {most}。"),
    # Images along a clip, one modality alone, and clips of several windows.
    ("keyframes must lie inside the clip, {}; nearest is {near}", "图像须在视频之内；最接近的是 {near}。"),
    (
        "keyframes must lie on latent frames of their own, one for each {step} frames {}",
        "两张图像相距太近：每 {step} 帧最多一张。",
    ),
    ("keyframes must lie where the video does not stay{}", "该时刻的画面保持不变，不能放图像。"),
    ("{} is for a clip of one window, got it for a long clip{}", "分段生成的视频不能使用这一项。"),
    (
        "a long clip is made from a prompt, an image, audio or a clip to extend, got {what}; leave it out",
        "分段生成的视频不能使用{what}。",
    ),
    (
        "prompt-at must lie in what is made ({}), got {}; nearest is {near}",
        "该时刻须在生成的部分之内；最接近的是 {near}。",
    ),
    (
        "prompt-at must be in force in the middle of what a window makes{}; nearest is {near}",
        "没有一段会用到这条提示词；最接近的是 {near}。",
    ),
    ("prompt-at must name each time once{}", "同一时刻只能有一条提示词。"),
    ("{}: {asked} s became {used} s", "第 {asked} 秒移到最接近的第 {used} 秒。"),
    ("{length} s, {frames} frames: one window{}", "{length} 秒，{frames} 帧。"),
    (
        "{length} s (nearest to {asked} s), {frames} frames: one window{}",
        "{length} 秒（最接近 {asked} 秒），{frames} 帧。",
    ),
    ("{length} s, {frames} frames: {count} windows{}", "{length} 秒，{frames} 帧，分 {count} 段生成。"),
    (
        "{length} s (nearest to {asked} s), {frames} frames: {count} windows{}",
        "{length} 秒（最接近 {asked} 秒），{frames} 帧，分 {count} 段生成。",
    ),
    (
        "audio: {} lasts {have} s of the {need} s that are made; what follows it is made as well",
        "声音只有 {have} 秒，共需 {need} 秒；其余部分会一同生成。",
    ),
    ("audio: {have} s of {} are used", "使用了 {have} 秒的声音。"),
    (
        "seed {seed} gave a video that is {what}: {}; made again with another seed",
        "种子 {seed} 生成的画面{what}，已换种子重新生成。",
    ),
    ("seed {seed} gave numbers that are not finite{}", "种子 {seed} 的计算结果无效，已换种子重新生成。"),
    ("the video is {what}: {} is kept; nearest is another prompt{}", "画面{what}：请换提示词或加上首帧图像。"),
    ("the clip ends at {at} s: what follows is {}", "视频在第 {at} 秒结束：之后的画面没有生成成功。"),
    # What a model was not trained for.
    ("the word {words}", "词语 {words}"),
    ("the words {words}", "词语 {words}"),
    ("a scene without any of {words}", "不含以下任一词的场景：{words}"),
    ("{have} pixels (it knows {known})", "{have} 像素（它学过 {known}）"),
    ("{have} frames (it knows {known})", "{have} 帧（它学过 {known}）"),
    ("{have} frames per second (it knows {known})", "每秒 {have} 帧（它学过 {known}）"),
    ("a last frame without a first one", "只有末帧、没有首帧"),
    ("a {which} in other colours than its own{}", "颜色与它学过的不同的{which}"),
    # What was changed in a wording, and what cannot be kept.
    ("the wall is {new}, the nearest to {old}", "墙改为最接近“{old}”的{new}"),
    (
        "{old} became {new}, the nearest colour: the toy world has only {known}",
        "“{old}”改为最接近的{new}：玩具世界只有{known}",
    ),
    ("the colour {old} is left out: the toy world has only {known}", "略去颜色“{old}”：玩具世界只有{known}"),
    ("{old} became {new}: the toy world has only floors of {known}", "“{old}”改为{new}：玩具世界的地面只有{known}"),
    ("the floor is of one material: {new} and not {old}", "地面只有一种材质：{new}，不是{old}"),
    (
        "{things} that follow themselves are played once: the toy world repeats none at once",
        "连续重复的{things}只出现一次",
    ),
    (
        "the first {new} of {old} {things}: a clip of the toy world has {least} to {most}",
        "取前 {new} 个{things}（共 {old} 个）：一段视频有 {least} 到 {most} 个",
    ),
    (
        "{old} {things} became {new}: a clip of the toy world has {least} to {most}",
        "{old} 个{things}改为 {new} 个：一段视频有 {least} 到 {most} 个",
    ),
    (
        "further {things} are chosen: a clip of the toy world has {least} to {most}",
        "补足了{things}：一段视频有 {least} 到 {most} 个",
    ),
    (
        "one ball is {new}, the other one of another colour: they are never alike",
        "一个球是{new}，另一个用别的颜色：两球颜色不同",
    ),
    (
        "guidance scale {new}, so that the first frame keeps its colours",
        "贴近提示词的程度设为 {new}，使首帧颜色保持不变",
    ),
    ("not shown, since no scene has it: {words}", "无法呈现，没有这样的场景：{words}"),
    ("a ball has one colour: {new} and not {old}", "一个球只有一种颜色：{new}，不是{old}"),
    (
        "there are two balls, {one} and {other}: the other colours are left out",
        "有两个球，{one}和{other}：略去其余颜色",
    ),
    (
        "one of two voices is low and the other high: the second one differs from what is asked",
        "两个声音一低一高：第二个与要求不同",
    ),
    (
        '"{words}" cannot be said: the voices of the toy world say only {known}',
        "“{words}”说不出来：玩具世界的声音只会说 {known}",
    ),
    ("the piano has white keys only: sharp and flat notes are left out", "钢琴只有白键：略去升降音"),
    (
        "a combination that was kept out of the training of mova-tiny: a note or a sign may be another",
        "mova-tiny 没有学过这种组合：音或标志可能不同",
    ),
    (
        "no scene is meant that can be shown ({})",
        "没有认出可以呈现的场景。可以写：球在地板上弹跳、小槌敲琴键、钢琴键、会说话的脸",
    ),
    (
        "a scene of the kind {} is not among those that can be shown ({})",
        "这类场景还不能呈现。可以写：球在地板上弹跳、小槌敲琴键、钢琴键、会说话的脸",
    ),
    # Of endpoints.
    ("rewritten by {model} at {host}", "由 {model}（{host}）改写"),
    ("asked for once more: {}", "要求重写了一次"),
    ("a quotation mark is never closed{}", "引号没有闭合"),
    (
        "the prompt has {have} words, and models read best up to {most}: shorten the text",
        "提示词有 {have} 个词，最好不超过 {most} 个：请缩短",
    ),
    ("{}; the prompt is written without a description of the first frame", "改写时没有首帧图像的描述"),
    ("{}; the first frame is made of the text as it was written", "首帧图像按原文生成"),
    ("{}; there is no first frame", "未能生成首帧图像"),
    ("{model} at {host} {}; your own text is used", "{model}（{host}）没有给出可用的改写，采用原文"),
)
"""Sentences of the server, and Chinese ones; what is in braces is taken over, by `TERMS` where it is one of them."""

TERMS: Final[Mapping[str, str]] = {
    "red": "红色",
    "yellow": "黄色",
    "green": "绿色",
    "blue": "蓝色",
    "purple": "紫色",
    "wood": "木头",
    "metal": "金属",
    "drum": "鼓",
    "light grey": "浅灰色",
    "pale blue": "浅蓝色",
    "pale green": "浅绿色",
    "pale pink": "浅粉色",
    "strikes": "敲击",
    "notes": "音",
    "turns": "轮次",
    "vowels": "元音",
    "first frame": "首帧图像",
    "last frame": "末帧图像",
    "image": "首帧图像",
    "last_image": "末帧图像",
    "video": "视频",
    "audio": "声音",
    "flat": "几乎是单色",
    "frozen": "静止不动",
}
"""Words inside of those sentences."""

SERVER_SCRIPT: Final = (
    f"const serverCodes = {json.dumps(CODES, sort_keys=True)};\n"
    f"const serverSentences = {json.dumps(SENTENCES)};\n"
    f"const serverTerms = {json.dumps(TERMS, sort_keys=True)};\n"
    + r"""
// The parts of a sentence in braces, as a pattern.
const serverPatterns = serverSentences.map(([english, chinese]) => [new RegExp(`^${english
  .replace(/[.*+?^$()|[\]\\]/g, "\\$&").replace(/\{(\w*)\}/g, (_, name) => name ? `(?<${name}>.+?)` : ".*?")}$`, "s"),
  chinese]);
function term(text) {
  const parts = text.split(/, | and | or /);
  return parts.every((one) => serverTerms[one]) ? parts.map((one) => serverTerms[one]).join("、")
    : text.replaceAll(" and ", "、");
}
function chineseOf(text) {
  for (const [pattern, chinese] of serverPatterns) {
    const found = pattern.exec(text);
    if (found) return chinese.replace(/\{(\w+)\}/g, (_, name) => term(found.groups[name]));
  }
  return null;
}
// Sentences of the server in the reader's language, as far as they are known.
const heard = (text) => language === "zh" ? chineseOf(text) ?? text : text;
function heardFault(fault) {
  if (language !== "zh" || !fault.code) return fault.message;
  const nearest = fault.nearest ? t("nearest", {value: fault.nearest}) : "";
  return chineseOf(fault.message) ?? serverCodes[fault.code]
    ?? (places[fault.param] ? `${t("bad_value")}${nearest}` : fault.message);
}
"""
)
"""`heard(text)`, `heardFault(fault)`, for the script."""
