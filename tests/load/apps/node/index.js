const express = require('express');

const app = express();
app.get('/', (_request, response) => response.type('text').send('text of {{version}}\n'));
const server = app.listen(process.env.PORT || 3000);
process.on('SIGTERM', () => server.close(() => process.exit(0)));
