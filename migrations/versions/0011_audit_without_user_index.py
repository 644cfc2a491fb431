"""The audit trail without an index by user: each recorded hit paid for it, and few ever look."""

from alembic import op

revision = "0011"
down_revision = "0008"

INDEX = "ix_audit_events_tenant_user_id_id"


def upgrade() -> None:
    """Drop the index; a search for one user looks through the trail from now on."""
    op.drop_index(INDEX, table_name="audit_events")


def downgrade() -> None:
    """Make the index again."""
    op.create_index(INDEX, "audit_events", ["tenant", "user_id", "id"])
