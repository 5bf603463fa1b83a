// A certified OpenID provider for the tests of sign-in, by what one line of JSON on standard input says:
// port (0 takes a free one), jwks (its private keys), clients (as the provider takes them), groups (by client or person).
// Tells its address in one line and each request's path in another, and ends with its standard input.
import http from 'node:http'
import readline from 'node:readline'
import { Provider } from 'oidc-provider'

const lines = readline.createInterface({ input: process.stdin })
lines.once('line', serve)
lines.once('close', () => process.exit(0))

function serve(line) {
  const { port, jwks, clients, groups } = JSON.parse(line)
  const algorithm = jwks.keys[0].alg
  const server = http.createServer()
  server.listen(port, '127.0.0.1', () => {
    const issuer = `http://127.0.0.1:${server.address().port}`
    const provider = new Provider(issuer, {
      jwks,
      clients: clients.map((client) => ({ id_token_signed_response_alg: algorithm, ...client })),
      claims: { openid: ['sub'], email: ['email', 'email_verified'], groups: ['groups'] },
      conformIdTokenClaims: false,
      cookies: { keys: ['for tests only'] },
      findAccount: (_context, id) => ({
        accountId: id,
        claims: () => ({ sub: id, email: `${id}@example.com`, email_verified: true, groups: groups[id] }),
      }),
      extraTokenClaims: (_context, token) => ({ groups: groups[token.accountId ?? token.clientId] }),
      features: {
        clientCredentials: { enabled: true },
        resourceIndicators: {
          enabled: true,
          getResourceServerInfo: (_context, resource) => ({
            scope: 'tune',
            audience: resource,
            accessTokenFormat: 'jwt',
            jwt: { sign: { alg: algorithm } },
          }),
        },
      },
    })
    const answer = provider.callback()
    server.on('request', (request, response) => {
      console.log(request.url)
      answer(request, response)
    })
    console.log(issuer)
  })
}
