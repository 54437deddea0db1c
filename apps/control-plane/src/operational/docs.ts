/** The page behind /docs: Swagger UI from our own node_modules, nothing from elsewhere. For the operational routes. */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { AviaryError } from '@aviary/kernel';

/** No inline scripts, nothing from other origins; images of the UI are data URLs. */
export const DOCS_CSP =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
  "font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Aviary API</title>
<link rel="icon" href="/docs/favicon-32x32.png">
<link rel="stylesheet" href="/docs/swagger-ui.css">
<link rel="stylesheet" href="/docs/page.css">
</head>
<body>
<header><strong>Aviary</strong><span>API of this instance</span>
<nav><a href="/openapi.json">openapi.json</a> <a href="/healthz">health</a> <a href="/metrics">metrics</a></nav></header>
<main id="ui"><noscript>This page needs JavaScript; <a href="/openapi.json">openapi.json</a> does not.</noscript></main>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/page.js"></script>
</body>
</html>
`;

const STYLE = `body{margin:0;font-family:system-ui,sans-serif}
header{display:flex;gap:1rem;align-items:baseline;padding:.75rem 1.5rem;background:#17324d;color:#fff}
header strong{font-size:1.25rem}header nav{margin-left:auto;display:flex;gap:1rem}header a{color:#cfe3f7}
`;

const SCRIPT = `SwaggerUIBundle({url:'/openapi.json',dom_id:'#ui',deepLinking:true,docExpansion:'list',
filter:true,persistAuthorization:false,validatorUrl:null,tryItOutEnabled:true});
`;

const dist = dirname(createRequire(import.meta.url).resolve('swagger-ui-dist/package.json'));
const FROM_DIST: Readonly<Record<string, string>> = {
  'swagger-ui.css': 'text/css; charset=utf-8',
  'swagger-ui-bundle.js': 'text/javascript; charset=utf-8',
  'favicon-32x32.png': 'image/png',
};

/** The page itself. */
export const docsPage = { type: 'text/html; charset=utf-8', body: PAGE };

/** A part of the page. Errors: not_found. */
export async function docsFile(name: string): Promise<{ type: string; body: string | Buffer }> {
  if (name === 'page.css') return { type: 'text/css; charset=utf-8', body: STYLE };
  if (name === 'page.js') return { type: 'text/javascript; charset=utf-8', body: SCRIPT };
  const type = Object.hasOwn(FROM_DIST, name) ? FROM_DIST[name] : undefined;
  if (type === undefined) throw new AviaryError('not_found', `the documentation has no file ${name}`);
  return { type, body: await readFile(join(dist, name)) };
}
