// The published ExecutorClient and BlobClient, called by tests: one JSON line in, one out. Every question is
// [options of the client, "executor" or "blob", method, arguments]; an argument {"bytes": base64} is a buffer.
//
// node executorclient.cjs PACKAGES
'use strict';
const readline = require('readline');

const { engine } = require('./packages.cjs')(process.argv[2]);
const MAKERS = { executor: engine('executor/ExecutorClient'), blob: engine('blob/BlobClient') };

const silent = () => {};
const logger = { debug: silent, log: silent, info: silent, warn: silent, error: silent };
const clients = new Map();

function client(options, kind) {
    const name = JSON.stringify([options, kind]);
    if (!clients.has(name)) {
        clients.set(name, new MAKERS[kind]({ server: '127.0.0.1', httpsecure: false, logger, ...options }));
    }
    return clients.get(name);
}

const sent = (argument) => (argument && argument.bytes ? Buffer.from(argument.bytes, 'base64') : argument);

async function main() {
    for await (const line of readline.createInterface({ input: process.stdin })) {
        const [options, kind, method, given] = JSON.parse(line);
        let answer;
        try {
            const value = await client(options, kind)[method](...given.map(sent));
            answer = { value: value === undefined ? null : value };
        } catch (error) {
            answer = { error: String(error.status || error.statusCode || error.message || error) };
        }
        process.stdout.write(JSON.stringify(answer) + '\n');
    }
}

main();
