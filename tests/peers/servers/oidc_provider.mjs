// node-oidc-provider with clients made on request, a member who is asked once, and everything in memory.
// node oidc_provider.mjs PORT        prints "ready" when it listens
import http from 'node:http';
import Provider, { errors } from 'oidc-provider';

const port = Number(process.argv[2]);
const issuer = `http://127.0.0.1:${port}`;
const api = 'https://api.example/';
const scopes = ['openid', 'offline_access', 'all.full_access', 'contacts.read', 'contacts.write'];
const stored = new Map();
const byGrant = new Map();
const clients = new Map();

class InMemory {
  constructor(model) {
    this.model = model;
  }

  key(id) {
    return `${this.model}:${id}`;
  }

  async upsert(id, payload) {
    stored.set(this.key(id), payload);
    if (payload.grantId) {
      byGrant.set(payload.grantId, [...(byGrant.get(payload.grantId) ?? []), this.key(id)]);
    }
  }

  async find(id) {
    return this.model === 'Client' ? clients.get(id) : stored.get(this.key(id));
  }

  async findByUid(uid) {
    return [...stored].find(([key, payload]) => key.startsWith(this.key('')) && payload.uid === uid)?.[1];
  }

  async findByUserCode(userCode) {
    return [...stored].find(([key, payload]) => key.startsWith(this.key('')) && payload.userCode === userCode)?.[1];
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

const provider = new Provider(issuer, {
  adapter: InMemory,
  scopes,
  findAccount: (ctx, id) => ({ accountId: id, claims: async () => ({ sub: id }) }),
  interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
  pkce: { required: (ctx, client) => client.clientAuthMethod === 'none' },
  issueRefreshToken: (ctx, client) => client.grantTypeAllowed('refresh_token'),
  rotateRefreshToken: true,
  responseTypes: ['code'],
  cookies: { keys: ['only for tests'] },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    introspection: { enabled: true, allowedPolicy: () => true },
    revocation: { enabled: true },
    pushedAuthorizationRequests: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => undefined,
      getResourceServerInfo: (ctx, resource) => {
        if (resource !== api) throw new errors.InvalidTarget();
        return { scope: scopes.join(' '), accessTokenFormat: 'opaque' };
      },
    },
  },
});

async function readBody(request) {
  let body = '';
  for await (const chunk of request) body += chunk;
  return body;
}

async function registerClient(request, response) {
  const asked = JSON.parse(await readBody(request));
  const isNative = asked.redirect_uris.some((uri) => !uri.startsWith('https:'));
  const client = {
    client_id: `client-${clients.size + 1}`,
    application_type: isNative ? 'native' : 'web',
    redirect_uris: asked.redirect_uris,
    grant_types: asked.grant_types,
    response_types: asked.grant_types.includes('authorization_code') ? ['code'] : [],
    token_endpoint_auth_method: asked.method,
    scope: ['openid', ...asked.scope].join(' '),
    ...(asked.method === 'none' ? {} : { client_secret: `secret-of-client-${clients.size + 1}-0123456789abcdef` }),
  };
  clients.set(client.client_id, client);
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify({ client_id: client.client_id, client_secret: client.client_secret ?? null }));
}

async function interact(request, response) {
  const { uid, params } = await provider.interactionDetails(request, response);
  if (request.method === 'GET') {
    response.setHeader('content-type', 'text/html; charset=utf-8');
    response.end(`<form action="/interaction/${uid}" method="post"><button name="decision">Go</button></form>`);
    return;
  }
  const decision = new URLSearchParams(await readBody(request)).get('decision');
  let result = { error: 'access_denied', error_description: 'declined' };
  if (decision === 'allow') {
    const grant = new provider.Grant({ accountId: 'ann', clientId: params.client_id });
    grant.addOIDCScope(scopes.join(' '));
    grant.addResourceScope(api, scopes.join(' '));
    result = { login: { accountId: 'ann' }, consent: { grantId: await grant.save() } };
  }
  await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
}

const answer = provider.callback();
http
  .createServer((request, response) => {
    const handler = request.url === '/test/clients' ? registerClient : interact;
    if (request.url === '/test/clients' || request.url.startsWith('/interaction/')) {
      handler(request, response).catch((error) => {
        response.statusCode = 400;
        response.end(String(error));
      });
    } else {
      answer(request, response);
    }
  })
  .listen(port, '127.0.0.1', () => console.log('ready'));
