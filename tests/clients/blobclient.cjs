// What a user of the published BlobClient does, one step after the other; prints what came of each as JSON.
//
// node blobclient.cjs PACKAGES PORT FOLDER [TOKEN]
'use strict';
const fs = require('fs');
const path = require('path');

const [packages, port, folder, apiToken] = process.argv.slice(2);
const BlobClient = require('./packages.cjs')(packages).engine('blob/BlobClient');

const silent = () => {};
const logger = { debug: silent, log: silent, info: silent, warn: silent, error: silent };
const client = new BlobClient({ server: '127.0.0.1', serverPort: port, httpsecure: false, logger, apiToken });

const text = (data) => Buffer.from(data).toString('utf8');
const failure = (promise) => promise.then(() => null, (error) => error.status || error.statusCode || error.message);

// It gives no promise: that all has come is known by the end of the stream
function piped(hash, target, subpath) {
    return new Promise((resolve, reject) => {
        const stream = fs.createWriteStream(target).on('finish', resolve).on('error', reject);
        client.getStreamObject(hash, stream, subpath);
    });
}

async function main() {
    const told = {};
    told.file = await client.putFile('hello.txt', Buffer.from('Hello, blob!\n'));
    told.empty = await client.putFile('empty.txt', Buffer.alloc(0));
    told.odd = await client.putFile('te%s#t.json', '{"1":2}');
    told.unicode = await client.putFile('1111μ222.bin', Buffer.from('x'));
    told.files = await client.putFiles({ 'noext': Buffer.from('x'), 'a/b.txt': Buffer.from('x') });
    told.streamed = await client.putFile('large.bin', fs.createReadStream(path.join(folder, 'large.bin')));

    told.metadata = await client.getMetadata(told.file);
    told.object = text(await client.getObject(told.file));
    told.emptyObject = text(await client.getObject(told.empty));
    told.string = await client.getObjectAsString(told.file);
    told.json = await client.getObjectAsJSON(told.odd);
    await piped(told.streamed, path.join(folder, 'large.back'));

    const artifact = client.createArtifact('art');
    await artifact.addFile('z/b.txt', 'Hello, blob!\n');
    await artifact.addFileAsSoftLink('B.txt', 'Hello, blob!\n');
    await artifact.addFiles({ '10': 'ten', '9': 'nine' });
    await artifact.addObjectHash('copy.txt', told.file);
    await artifact.addMetadataHash('link.txt', told.file, 13);
    told.artifact = await artifact.save();
    told.artifactMetadata = await client.getMetadata(told.artifact);
    told.part = text(await client.getSubObject(told.artifact, 'z/b.txt'));
    told.linked = text(await client.getSubObject(told.artifact, 'link.txt'));
    await piped(told.artifact, path.join(folder, 'art.zip'));
    await piped(told.artifact, path.join(folder, 'part.back'), 'B.txt');

    const again = await client.getArtifact(told.artifact);
    await again.addFile('more.txt', 'more');
    told.extended = await again.save();
    told.nothing = await client.createArtifact('nothing').save();

    told.unknown = await failure(client.getMetadata('0'.repeat(40)));
    told.unknownObject = await failure(client.getObject('0'.repeat(40)));
    told.unknownPart = await failure(client.getSubObject(told.artifact, 'nope.txt'));
    process.stdout.write(JSON.stringify(told));
}

main().then(() => process.exit(0), (error) => {
    process.stderr.write(String(error.stack || error) + '\n');
    process.exit(1);
});
