// One page and a health answer. Nothing here knows the platform: the port comes
// from PORT, as everywhere.
const express = require('express');
const { readFileSync } = require('node:fs');
const { join } = require('node:path');

const started = new Date();
const page = readFileSync(join(__dirname, 'page.html'), 'utf8');

const app = express();
app.disable('x-powered-by');
app.get('/health', (_request, response) => response.json({ healthy: true }));
app.get('/', (request, response) => {
  const facts = { host: request.hostname, node: process.version, started: started.toISOString() };
  response.type('html').send(page.replace(/{{(\w+)}}/g, (_all, name) => escape(facts[name])));
});

function escape(text = '') {
  return String(text).replace(/[&<>"']/g, (letter) => `&#${letter.charCodeAt(0)};`);
}

const server = app.listen(process.env.PORT || 3000);
// Requests that are under way finish before the process goes.
process.on('SIGTERM', () => server.close(() => process.exit(0)));
