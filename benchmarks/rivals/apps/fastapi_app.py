"""FastAPI by hand: what people write, with types for request and answer."""

import common
from fastapi import FastAPI
from pydantic import BaseModel

model = common.load()
app = FastAPI()


class Row(BaseModel):
    features: list[float]


class Text(BaseModel):
    text: str


class Answer(BaseModel):
    prediction: int
    probabilities: list[float]


Input = Text if common.NAME == "text" else Row


@app.post("/predict")
async def predict(row: Input) -> Answer:
    return Answer(**common.predict_one(model, getattr(row, common.KEY)))
