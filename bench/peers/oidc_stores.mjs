// Where node-oidc-provider keeps its models: adapters as its documentation asks for them, in memory and on PostgreSQL.
import pg from 'pg';

export function makeMemory() {
  const stored = new Map();
  const byGrant = new Map();

  class Memory {
    constructor(model) {
      this.model = model;
    }

    key(id) {
      return `${this.model}:${id}`;
    }

    async upsert(id, payload) {
      stored.set(this.key(id), payload);
      if (payload.grantId) {
        const keys = byGrant.get(payload.grantId);
        if (keys) keys.push(this.key(id));
        else byGrant.set(payload.grantId, [this.key(id)]);
      }
    }

    async find(id) {
      return stored.get(this.key(id));
    }

    async consume(id) {
      stored.get(this.key(id)).consumed = Math.floor(Date.now() / 1000);
    }

    async destroy(id) {
      stored.delete(this.key(id));
    }

    async revokeByGrantId(grantId) {
      for (const key of byGrant.get(grantId) ?? []) stored.delete(key);
      byGrant.delete(grantId);
    }
  }

  return { Adapter: Memory, create: async () => {}, settle: async () => {}, countRows: async () => stored.size };
}

const TABLE = `CREATE TABLE IF NOT EXISTS oidc_model (
  model text NOT NULL,
  id text NOT NULL,
  payload jsonb NOT NULL,
  grant_id text,
  expires_at timestamptz,
  consumed_at bigint,
  PRIMARY KEY (model, id)
)`;
const INDEX = 'CREATE INDEX IF NOT EXISTS oidc_model_grant_id ON oidc_model (grant_id)';
const UPSERT = `INSERT INTO oidc_model (model, id, payload, grant_id, expires_at)
  VALUES ($1, $2, $3, $4, now() + $5 * interval '1 second')
  ON CONFLICT (model, id) DO UPDATE SET payload = excluded.payload, expires_at = excluded.expires_at`;
const FIND = 'SELECT payload, consumed_at FROM oidc_model WHERE model = $1 AND id = $2';
const CONSUME = 'UPDATE oidc_model SET consumed_at = $3 WHERE model = $1 AND id = $2';
const DESTROY = 'DELETE FROM oidc_model WHERE model = $1 AND id = $2';
const REVOKE = 'DELETE FROM oidc_model WHERE model = $1 AND grant_id = $2';

export function makePostgres(connectionString) {
  const pool = new pg.Pool({ connectionString, max: 10 });
  // Prepared once on each connection: the quickest that the driver has.
  const ask = (name, text, values) => pool.query({ name, text, values });

  class Postgres {
    constructor(model) {
      this.model = model;
    }

    async upsert(id, payload, expiresIn) {
      const values = [this.model, id, JSON.stringify(payload), payload.grantId ?? null, expiresIn ?? null];
      await ask('upsert', UPSERT, values);
    }

    async find(id) {
      const { rows } = await ask('find', FIND, [this.model, id]);
      if (!rows.length) return undefined;
      const [{ payload, consumed_at: consumed }] = rows;
      return consumed === null ? payload : { ...payload, consumed: Number(consumed) };
    }

    async consume(id) {
      await ask('consume', CONSUME, [this.model, id, Math.floor(Date.now() / 1000)]);
    }

    async destroy(id) {
      await ask('destroy', DESTROY, [this.model, id]);
    }

    async revokeByGrantId(grantId) {
      await ask('revoke', REVOKE, [this.model, grantId]);
    }
  }

  return {
    Adapter: Postgres,
    create: async () => {
      await pool.query(TABLE);
      await pool.query(INDEX);
    },
    settle: () => pool.query('ANALYZE oidc_model'),
    countRows: async () => Number((await pool.query('SELECT count(*) FROM oidc_model')).rows[0].count),
  };
}
