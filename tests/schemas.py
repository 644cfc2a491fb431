"""Rows as each revision of the schema writes them, in plain SQL: what an older release leaves."""

import hashlib

from sqlalchemy import Connection, text

WRITTEN = "2026-11-21 10:00:00.123456"
# Far off: whatever the clock of a test says, these entries are fresh.
EXPIRES = "2126-11-21 10:00:00.000000"
# Of the first row's key the whole is this, with its number behind it.
API_KEY = "ask_" + "0" * 42
RESULT = "A place for what was paid for."

_INSERTS: dict[str, list[str]] = {
    "0001": [
        """INSERT INTO answers (id, tenant, fingerprint, text, result, is_structured, provider,
             model, finish_reason, tokens_in, tokens_out, cost, created_at)
           VALUES (:id, 'default', :key, 'What is a cache?', :result, false, 'openai', 'm', 'stop',
             120, 23, 213000000, :written)""",
        """INSERT INTO analyses (id, tenant, user_id, answer_id, cached, created_at)
           VALUES (:id, 'default', 'ann', :id, false, :written)""",
        """INSERT INTO flights (fingerprint, tenant, epoch, fence, beat, probes, state, owner,
             takeovers, answer_id, stored_at, expires_at, failure)
           VALUES (:key, 'default', 1, 1, 0, 0, 'done', 'gone', 0, :id, :written, :expires,
             NULL)""",
        """INSERT INTO attempts (id, tenant, user_id, fingerprint, epoch, fence, owner, provider,
             model, outcome, reason, answer_id, tokens_in, tokens_out, cost, started_at,
             finished_at)
           VALUES (:id, 'default', 'ann', :key, 1, 1, 'gone', 'openai', 'm', 'answered', NULL, :id,
             120, 23, 213000000, :written, :written)""",
    ],
    "0002": [
        """INSERT INTO idempotency_keys (scope, tenant, user_id, digest, analysis_id, created_at)
           VALUES (:key, 'default', 'ann', :key, :id, :written)""",
    ],
    "0004": [
        """INSERT INTO sessions (id, tenant, user_id, title, provider, model, instructions,
             messages, replied, created_at, updated_at)
           VALUES (:id, 'default', 'ann', 'Caches', NULL, NULL, 'Be brief.', 2, 2, :written,
             :written)""",
        """INSERT INTO messages (id, tenant, session_id, role, position, content, answer_id,
             cached, sent, summarised, created_at)
           VALUES (:id * 2 - 1, 'default', :id, 'user', 1, 'What is a cache?', NULL, false, NULL,
             NULL, :written)""",
        """INSERT INTO messages (id, tenant, session_id, role, position, content, answer_id,
             cached, sent, summarised, created_at)
           VALUES (:id * 2, 'default', :id, 'assistant', 2, NULL, :id, false, 1, 0, :written)""",
        """INSERT INTO preferences (tenant, user_id, provider, model, instructions,
             max_output_tokens, version, updated_at)
           VALUES ('default', :user, NULL, NULL, 'Be kind.', 512, :id, :written)""",
        """INSERT INTO idempotency_keys (scope, tenant, user_id, digest, session_id, created_at)
           VALUES (:other_key, 'default', 'ann', :key, :id, :written)""",
    ],
    "0005": [
        """INSERT INTO api_keys (id, tenant, name, role, user_id, digest, shown, previous_digest,
             previous_until, version, created_at, rotated_at, revoked_at)
           VALUES (:id, 'default', :user, 'service', NULL, :digest, 'ask_000000', NULL, NULL, :id,
             :written, NULL, NULL)""",
    ],
    "0006": [
        """INSERT INTO rate_limits (tenant, kind, name, period, whole_at, granted)
           VALUES ('default', 'user', :user, 'minute', 1, 1)""",
        """INSERT INTO budgets (id, tenant, kind, name, unit, period, amount, version, created_at,
             updated_at)
           VALUES (:id, 'default', 'user', :user, 'tokens', 'day', 1000, :id, :written,
             :written)""",
        """INSERT INTO budget_periods (budget_id, starts_at, tenant, reserved, spent, unknown)
           VALUES (:id, :written, 'default', 0, 143, 0)""",
        """INSERT INTO budget_reservations (attempt_id, budget_id, starts_at, tenant, amount,
             is_charged)
           VALUES (:id, :id, :written, 'default', 143, true)""",
    ],
    "0007": [
        """INSERT INTO audit_events (id, at, tenant, action, outcome, user_id, key_id, request_id,
             provider, model, tokens_in, tokens_out, cost, digest, about)
           VALUES (:id, :written, 'default', 'analysis', 'ok', 'ann', NULL, NULL, 'openai', 'm',
             120, 23, 213000000, NULL, NULL)""",
        """INSERT INTO audit_seals (number, at, ids, highest, holes, total, leaves, root, previous,
             hash)
           VALUES (:id, :written, '', :id, '', 0, :key, :key, :key, :key)""",
        """INSERT INTO usage_daily (tenant, user_id, day, key_id, provider, model, slot, calls,
             failed, unpriced, tokens_in, tokens_out, cost, hits, collapsed, replays,
             saved_unpriced, saved_tokens_in, saved_tokens_out, saved_cost)
           VALUES ('default', :user, '2026-11-21', 0, 'openai', 'm', 0, 1, 0, 0, 120, 23, 213000000,
             0, 0, 0, 0, 0, 0, 0)""",
    ],
    "0008": [
        """INSERT INTO erasures (digest, tenant, era, erased_at)
           VALUES (:key, 'default', 1, :written)""",
    ],
    "0009": [
        """INSERT INTO provider_batches (id, tenant, run, token, provider, model, state, owner,
             remote_id, lines, size, created_at, sent_at)
           VALUES (:id, 'default', 'r', 't', 'openai', 'm', 'sent', 'gone', :user, 1, 90, :written,
             :written)""",
        """INSERT INTO provider_batch_lines (id, tenant, user_id, era, run, number, digest,
             fingerprint, state, batch_id, leader_id, attempt_id, analysis_id, epoch, question,
             failure)
           VALUES (:id, 'default', 'ann', 0, 'r', :id, 'd', :key, 'waiting', :id, NULL, :id, NULL,
             1, '{"text": "What is a cache?"}', NULL)""",
    ],
    "0011": [
        """INSERT INTO console_sessions (digest, tenant, key_id, key_digest, user_id, created_at,
             expires_at)
           VALUES (:key, 'default', :id, :digest, 'ann', :written, :expires)""",
    ],
}


def statements(revision: str) -> list[str]:
    """Return what a release at `revision` writes for one answered question, tables in order."""
    return [sql for since, some in _INSERTS.items() if since <= revision for sql in some]


def write(connection: Connection, revision: str, *, number: int = 1) -> None:
    """Write rows as a release at `revision` does; a row's id is `number`."""
    zone = "+00:00" if connection.dialect.name == "postgresql" else ""
    facts = {
        "id": number,
        "key": bytes([number]) * 32,
        "other_key": bytes([100 + number]) * 32,
        "user": f"ann-{number}",
        "result": RESULT,
        "digest": hashlib.sha256(f"{API_KEY}{number}".encode()).digest(),
        "written": WRITTEN + zone,
        "expires": EXPIRES + zone,
    }
    for sql in statements(revision):
        statement = text(sql)
        connection.execute(statement, {name: facts[name] for name in statement.compile().params})
