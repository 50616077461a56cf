// The packages of build/clients (see prepare), for the other scripts of this folder.
'use strict';
const { createRequire } = require('module');
const path = require('path');

// from('name') is require('name') there; engine('blob/BlobClient') is a module of webgme-engine, by its own names
module.exports = function packages(folder) {
    const from = createRequire(path.resolve(folder, 'package.json'));
    const engine = from('requirejs');
    engine.config({
        nodeRequire: from,
        baseUrl: path.join(path.dirname(from.resolve('webgme-engine/package.json')), 'src'),
        paths: { blob: 'common/blob', executor: 'common/executor' },
    });
    return { from, engine };
};
