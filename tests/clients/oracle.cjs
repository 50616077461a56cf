// The originals, asked by tests: one JSON line in, one out. Every question is [kind, argument].
//
// node oracle.cjs PACKAGES
'use strict';
const { createHash } = require('crypto');
const readline = require('readline');

const { from, engine } = require('./packages.cjs')(process.argv[2]);
const disposition = from('content-disposition');
const BlobMetadata = engine('blob/BlobMetadata');
let mime;

const ANSWERS = {
    // A record as the text that is hashed, and its hash; an error where the original refuses it
    record(text) {
        const serialized = JSON.stringify(new BlobMetadata(JSON.parse(text)).serialize());
        return { text: serialized, hash: createHash('sha1').update(serialized, 'utf8').digest('hex') };
    },
    json: (text) => JSON.stringify(JSON.parse(text)),
    json4: (text) => JSON.stringify(JSON.parse(text), null, 4),
    mime: (name) => mime.getType(name),
    table: () => Object.fromEntries(mime._getTestState().types),
    disposition: (name) => disposition(name),
};

async function main() {
    mime = (await import(from.resolve('mime'))).default;
    for await (const line of readline.createInterface({ input: process.stdin })) {
        const [kind, argument] = JSON.parse(line);
        let answer;
        try {
            answer = { value: ANSWERS[kind](argument) };
        } catch (error) {
            answer = { error: String(error && error.message || error) };
        }
        process.stdout.write(JSON.stringify(answer) + '\n');
    }
}

main();
