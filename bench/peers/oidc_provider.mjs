// node-oidc-provider as a server to measure, in memory or on PostgreSQL, with clients known beforehand.
// node oidc_provider.mjs SETUP          SETUP is JSON (bench/subjects/peers.py); prints "ready http://…" when it listens
import cluster from 'node:cluster';
import { createHash } from 'node:crypto';
import http from 'node:http';
import Provider from 'oidc-provider';
import { makeMemory, makePostgres } from './oidc_stores.mjs';

const setup = JSON.parse(process.argv[2]);
const issuer = `http://127.0.0.1:${setup.port}`;
const scope = 'all.full_access offline_access';
const day = 24 * 3600;

const store = setup.database ? makePostgres(setup.database) : makeMemory();
const provider = new Provider(issuer, {
  adapter: store.Adapter,
  scopes: scope.split(' '),
  clients: [
    {
      client_id: setup.client_id,
      client_secret: setup.client_secret,
      redirect_uris: [setup.redirect_uri],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'client_secret_post',
      scope,
    },
    {
      client_id: setup.robot_id,
      client_secret: setup.robot_secret,
      redirect_uris: [],
      grant_types: ['client_credentials'],
      response_types: [],
      token_endpoint_auth_method: 'client_secret_post',
      scope: 'all.full_access',
    },
    {
      client_id: setup.guard_id,
      client_secret: setup.guard_secret,
      redirect_uris: [],
      grant_types: [],
      response_types: [],
      token_endpoint_auth_method: 'client_secret_basic',
    },
  ],
  findAccount: (ctx, id) => ({ accountId: id, claims: async () => ({ sub: id }) }),
  issueRefreshToken: (ctx, client) => client.grantTypeAllowed('refresh_token'),
  rotateRefreshToken: true,
  ttl: { AccessToken: 3600, AuthorizationCode: 3600, ClientCredentials: 3600, RefreshToken: 180 * day, Grant: 180 * day },
  cookies: { keys: ['only for measuring'] },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    introspection: { enabled: true, allowedPolicy: () => true },
    revocation: { enabled: true },
  },
});

// What a person's consent leaves behind, made with the library's own models.
async function makeCredential(operation) {
  const client = await provider.Client.find(setup.client_id);
  const grant = new provider.Grant({ accountId: 'ann', clientId: client.clientId });
  grant.addOIDCScope(scope);
  const about = { accountId: 'ann', client, grantId: await grant.save(), scope, expiresWithSession: false };
  if (operation === 'exchange') {
    const codeChallenge = createHash('sha256').update(setup.verifier).digest('base64url');
    const pkce = { codeChallenge, codeChallengeMethod: 'S256' };
    return new provider.AuthorizationCode({ ...about, ...pkce, redirectUri: setup.redirect_uri }).save();
  }
  const gty = 'authorization_code';
  if (operation === 'refresh' || operation === 'revocation') {
    return new provider.RefreshToken({ ...about, gty, rotations: 0 }).save();
  }
  return new provider.AccessToken({ ...about, gty }).save();
}

async function prepare(asked) {
  const items = [];
  while (items.length < asked.count) {
    const some = Array.from({ length: Math.min(100, asked.count - items.length) }, () => makeCredential(asked.operation));
    items.push(...(await Promise.all(some)));
  }
  await store.settle();
  return { items };
}

async function answerBench(request, response) {
  let body = '';
  for await (const chunk of request) body += chunk;
  const answer = request.url === '/bench/rows' ? { rows: await store.countRows() } : await prepare(JSON.parse(body));
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify(answer));
}

function serve(whenListening) {
  const answer = provider.callback();
  http
    .createServer({ keepAliveTimeout: 120_000 }, (request, response) => {
      if (request.url.startsWith('/bench/')) {
        answerBench(request, response).catch((error) => {
          response.statusCode = 500;
          response.end(String(error?.stack ?? error));
        });
      } else {
        answer(request, response);
      }
    })
    .listen(setup.port, '127.0.0.1', whenListening);
}

const announce = () => console.log(`ready ${issuer}`);
if (cluster.isPrimary) {
  await store.create();
  if (setup.workers === 1) {
    serve(announce);
  } else {
    let missing = setup.workers;
    cluster.on('listening', () => {
      missing -= 1;
      if (missing === 0) announce();
    });
    for (let number = 0; number < setup.workers; number += 1) cluster.fork();
    process.on('SIGTERM', () => process.exit(0));
  }
} else {
  serve();
}
