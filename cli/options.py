"""Options that several commands share, each said once. A None means: not given on the command line."""

from __future__ import annotations

from typing import Annotated, Any

import typer

_STORES = "Stores"
_MODEL = "Model"
_WORK = "Work"
_TRACES = "Traces"

Workspace = Annotated[
    str | None, typer.Option("--workspace", "-w", help="One ledger, one graph, one collection. [default]")
]
Home = Annotated[str | None, typer.Option("--home", help="Folder of all workspaces. [.kg]")]
Config = Annotated[str | None, typer.Option("--config", help="Settings file. [kg.toml]")]
Json = Annotated[bool, typer.Option("--json", help="The result as one JSON object on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Only errors on stderr.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="More on stderr.")]
LogFile = Annotated[str | None, typer.Option("--log-file", help="Where the log goes. [run.log beside the report]")]
OutputDir = Annotated[str | None, typer.Option("--output-dir", help="Where reports go. [runs/ in the workspace]")]

MaxConcurrent = Annotated[
    int | None, typer.Option("--max-concurrent", help="Requests in flight. [20]", rich_help_panel=_WORK)
]
BatchSize = Annotated[
    int | None, typer.Option("--batch-size", help="Chunks a request at most, 1 to 20. [10]", rich_help_panel=_WORK)
]
Rpm = Annotated[
    float | None, typer.Option("--rpm", help="Requests a minute, chat and embeddings.", rich_help_panel=_WORK)
]
Tpm = Annotated[
    float | None, typer.Option("--tpm", help="Tokens a minute, chat and embeddings.", rich_help_panel=_WORK)
]
EmbeddingRpm = Annotated[
    float | None, typer.Option("--embedding-rpm", help="Embeddings have their own limit.", rich_help_panel=_WORK)
]
EmbeddingTpm = Annotated[
    float | None, typer.Option("--embedding-tpm", help="Embeddings have their own limit.", rich_help_panel=_WORK)
]
BatchApi = Annotated[
    bool | None,
    typer.Option(
        "--batch-api", help="Half price, within a day: by the Batch API.", show_default=False, rich_help_panel=_WORK
    ),
]
NoWait = Annotated[
    bool, typer.Option("--no-wait", help="Leave Batch jobs to a later run to collect.", rich_help_panel=_WORK)
]
MaxCost = Annotated[
    float | None, typer.Option("--max-cost", help="Never spend more US dollars.", rich_help_panel=_WORK)
]
Grace = Annotated[
    float | None,
    typer.Option("--grace", help="Seconds that a run which is asked to stop may take. [60]", rich_help_panel=_WORK),
]
Wait = Annotated[
    float | None,
    typer.Option("--wait", help="Wait so many seconds for another run; alone: however long.", rich_help_panel=_WORK),
]
ConfirmAbove = Annotated[
    float | None,
    typer.Option("--confirm-above", help="Ask first above so many dollars. [1]", rich_help_panel=_WORK),
]
Persona = Annotated[
    str | None, typer.Option("--persona", help="For whom: caps and reports by person.", rich_help_panel=_WORK)
]
Tags = Annotated[
    list[str] | None, typer.Option("--tag", help="NAME=VALUE, to sum up usage by; repeatable.", rich_help_panel=_WORK)
]
Yes = Annotated[bool | None, typer.Option("--yes", help="Don't ask.", show_default=False, rich_help_panel=_WORK)]
ChunkSize = Annotated[
    int | None, typer.Option("--chunk-size", help="Characters a chunk, about. [1200]", rich_help_panel=_WORK)
]
Clean = Annotated[
    bool | None,
    typer.Option(
        "--clean/--no-clean", help="Leave out fillers and stutters. [clean]", show_default=False, rich_help_panel=_WORK
    ),
]

Extractor = Annotated[
    str | None, typer.Option("--extractor", help="auto, openai or rules. [auto]", rich_help_panel=_MODEL)
]
Embedder = Annotated[
    str | None, typer.Option("--embedder", help="auto, openai, bm25 or none. [auto]", rich_help_panel=_MODEL)
]
NoModel = Annotated[
    bool | None,
    typer.Option("--no-model", help="Rules and BM25 alone.", show_default=False, rich_help_panel=_MODEL),
]
Model = Annotated[str | None, typer.Option("--model", help="For extraction. [gpt-5-mini]", rich_help_panel=_MODEL)]
Prompt = Annotated[
    str | None, typer.Option("--prompt", help="A file of your own, or extract.vN.", rich_help_panel=_MODEL)
]
PromptVariants = Annotated[
    str | None, typer.Option("--prompt-variants", help="Try several: a.md,b.md.", rich_help_panel=_MODEL)
]
ModelVariants = Annotated[
    str | None, typer.Option("--model-variants", help="Try several: m1,m2.", rich_help_panel=_MODEL)
]
Split = Annotated[
    str | None, typer.Option("--split", help="Their shares of the documents: 80/20.", rich_help_panel=_MODEL)
]
EmbeddingModel = Annotated[
    str | None, typer.Option("--embedding-model", help="[text-embedding-3-small]", rich_help_panel=_MODEL)
]
Dimensions = Annotated[int | None, typer.Option("--dimensions", help="Of the vectors.", rich_help_panel=_MODEL)]
BaseUrl = Annotated[
    str | None, typer.Option("--base-url", help="Any server that speaks OpenAI's protocol.", rich_help_panel=_MODEL)
]
EmbeddingBaseUrl = Annotated[
    str | None, typer.Option("--embedding-base-url", help="Another one for embeddings.", rich_help_panel=_MODEL)
]
Temperature = Annotated[float | None, typer.Option("--temperature", help="[0]", rich_help_panel=_MODEL)]
ReasoningEffort = Annotated[str | None, typer.Option("--reasoning-effort", help="[low]", rich_help_panel=_MODEL)]
ServiceTier = Annotated[
    str | None,
    typer.Option("--service-tier", help="flex (half price, slower) | priority | default.", rich_help_panel=_MODEL),
]
Timeout = Annotated[
    float | None, typer.Option("--timeout", help="Seconds for one reply. [120; flex 900]", rich_help_panel=_MODEL)
]
Retries = Annotated[int | None, typer.Option("--retries", help="After passing failures. [6]", rich_help_panel=_MODEL)]
OntologyFile = Annotated[
    str | None, typer.Option("--ontology", help="Entity and relationship types.", rich_help_panel=_MODEL)
]
KeepUnsupported = Annotated[
    bool | None,
    typer.Option(
        "--keep-unsupported",
        help="Also what the words don't bear out, graded so.",
        show_default=False,
        rich_help_panel=_MODEL,
    ),
]
Resolve = Annotated[
    str | None,
    typer.Option("--resolve", help="Merge names: auto, none, rules or model. [auto]", rich_help_panel=_MODEL),
]
Prices = Annotated[str | None, typer.Option("--prices", help="prices.toml of your own.", rich_help_panel=_MODEL)]

GraphStore = Annotated[
    str | None, typer.Option("--graph-store", help="auto, embedded, neo4j or none. [auto]", rich_help_panel=_STORES)
]
VectorStore = Annotated[
    str | None, typer.Option("--vector-store", help="auto, embedded, qdrant or none. [auto]", rich_help_panel=_STORES)
]
QdrantGrpc = Annotated[
    bool | None,
    typer.Option("--qdrant-grpc", help="gRPC to Qdrant in place of REST.", show_default=False, rich_help_panel=_STORES),
]

Neo4jEmbeddings = Annotated[
    bool | None,
    typer.Option(
        "--neo4j-embeddings",
        help="Chunks' vectors in Neo4j too, with an index.",
        show_default=False,
        rich_help_panel=_STORES,
    ),
]

DeferWrites = Annotated[
    bool | None,
    typer.Option(
        "--defer-writes",
        help="Leave the stores alone; a later run writes them.",
        show_default=False,
        rich_help_panel=_STORES,
    ),
]

TraceContent = Annotated[
    str | None,
    typer.Option("--trace-content", help="In traces: none, prompts, replies or both. [none]", rich_help_panel=_TRACES),
]
TraceMask = Annotated[
    bool | None,
    typer.Option(
        "--trace-mask",
        help="Content without emails, numbers and speakers.",
        show_default=False,
        rich_help_panel=_TRACES,
    ),
]
TraceSample = Annotated[
    float | None,
    typer.Option("--trace-sample", help="Share of batches in traces, 0 to 1. [1]", rich_help_panel=_TRACES),
]

_WATCHED = "Watched by"
PromTextfile = Annotated[
    str | None,
    typer.Option(
        "--prom-textfile",
        help="FILE.prom for Prometheus's node_exporter.",
        rich_help_panel=_WATCHED,
        show_default=False,
    ),
]
Pushgateway = Annotated[
    str | None, typer.Option("--pushgateway", help="Address of a Prometheus Pushgateway.", rich_help_panel=_WATCHED)
]

NOT_SETTINGS = frozenset({"config", "json", "json_", "quiet", "verbose"})


def given(arguments: dict[str, Any]) -> dict[str, Any]:
    """Of a command's arguments, those that are settings."""
    return {name: value for name, value in arguments.items() if name not in NOT_SETTINGS}
