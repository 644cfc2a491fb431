"""What askonce is measured beside: FastAPI that validates the same body and answers a constant.

Reads its port and its answer from the environment.
"""

import os
from typing import Annotated, Any

import uvicorn
from fastapi import FastAPI, Path
from pydantic import BaseModel, ConfigDict, Field

app = FastAPI()


class Question(BaseModel):
    """The same body as askonce's."""

    model_config = ConfigDict(extra="forbid", strict=True)

    text: str = Field(min_length=1, max_length=200_000)
    provider: str | None = None
    model: str | None = None
    instructions: str | None = None
    output_schema: dict[str, Any] | None = None
    max_output_tokens: int | None = Field(default=None, ge=1)


class Answer(BaseModel):
    """The same answer as askonce's."""

    id: int
    user_id: str
    result: str
    data: Any
    provider: str
    model: str
    finish_reason: str
    cached: bool
    tokens_in: int
    tokens_out: int
    tokens_used: int
    cost_usd: str | None
    created_at: str


ANSWER = Answer.model_validate_json(os.environ["ANSWER"])


@app.post("/analyze/{user_id}")
async def analyze(
    user_id: Annotated[str, Path(pattern=r"^[A-Za-z0-9._@:+-]{1,128}$")],
    question: Question,
) -> Answer:
    del user_id, question
    return ANSWER


@app.get("/ready")
async def ready() -> dict[str, str]:
    return {"status": "ready"}


if __name__ == "__main__":
    uvicorn.run(
        app,
        port=int(os.environ["ASKONCE_PORT"]),
        loop="uvloop",
        http="httptools",
        ws="none",
        access_log=False,
        log_level="warning",
        backlog=4096,
    )
