"""What stands under each command's help: lines to copy."""

EXAMPLES: dict[str, tuple[str, ...]] = {
    "distill": (
        "stillhouse distill --data digits --teacher resnet20 --student convnet-8-16 -o runs/first",
        "stillhouse distill --data digits --student resnet8 --method tf_kd_reg -o runs/alone",
    ),
    "compare": (
        "stillhouse compare kd dkd rkd --recipe recipe.yaml -o runs/methods",
        "stillhouse compare runs/first runs/second",
    ),
    "run": (
        "stillhouse run recipe.yaml",
        "stillhouse run digits-kd --set epochs=10",
        "stillhouse run recipe.yaml -o runs/hot --set method.temperature=8 --set epochs=60",
        "stillhouse run study.yaml --on ray",
    ),
    "check": ("stillhouse check recipe.yaml", "stillhouse check runs/first"),
    "cache": (
        "stillhouse cache recipe.yaml",
        "stillhouse cache recipe.yaml --worker 2/4 --set cache.directory=s3://bucket/caches/a",
        "stillhouse cache recipe.yaml --on ray --address head:6379",
    ),
    "ls": (
        "stillhouse ls methods attention",
        "stillhouse ls methods --family relation --task detection",
        "stillhouse ls recipes digits",
        "stillhouse ls runs",
    ),
    "show": (
        "stillhouse show recipe.yaml",
        "stillhouse show digits-kd --written",
        "stillhouse show runs/first",
    ),
    "taps": ("stillhouse taps resnet8 --teacher resnet56",),
    "report": ("stillhouse report runs/first",),
    "resume": ("stillhouse resume runs/first",),
    "predict": ("stillhouse predict runs/first photo.jpg folder --format csv -o answers.csv",),
    "evaluate": ("stillhouse evaluate runs/first --data other_images",),
    "export": ("stillhouse export runs/first --to onnx --int8",),
    "bench": ("stillhouse bench runs/first --runtime torch --runtime onnx",),
    "search": ("stillhouse search recipe.yaml --parameters 100000 --latency-ms 5",),
    "synthesize": (
        "stillhouse synthesize teacher.safetensors --model resnet20 --shape 3,32,32 "
        "--count 5000 -o made",
    ),
    "derive": ("stillhouse derive resnet20 --by low_rank --ratio 0.5 -o smaller",),
}
"""By the name of the command."""


def epilog(command: str) -> str:
    """The examples of a command as its help shows them, without folding a line."""
    lines = EXAMPLES[command]
    title = "Example:" if len(lines) == 1 else "Examples:"
    return "\n".join(["\b", title, *(f"  {line}" for line in lines)])
