"""Fills tables as years of use would: many users, a few answers each, words as people use them."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import accumulate, batched
from typing import Any

from sqlalchemy import Integer, String, cast, func, insert, literal, select
from sqlalchemy import text as sql

from askonce.core.access import Caller
from askonce.db.database import SqlDatabase
from askonce.db.rows import AnalysisRow, AnswerRow

USERS = 100
