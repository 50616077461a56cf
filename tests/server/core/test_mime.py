"""Types by extension: the rules of the lookup, and the extensions on which other tables differ."""

import pytest

from jobdeck_server.core.mime import UNKNOWN, mime_of, table

TYPES = {
    "text/plain": "log ini conf txt",
    "text/markdown": "md markdown",
    "application/xml": "xml xsd",
    "application/ld+json": "jsonld",
    "application/json": "map json",
    "application/xhtml+xml": "xhtml",
    "application/node": "cjs",
    "text/jsx": "jsx",
    "video/mp2t": "ts",
    "text/x-c": "c h cpp",
    "text/x-java-source": "java",
    "application/rls-services+xml": "rs",
    "text/x-lua": "lua",
    "application/x-perl": "pl",
    "application/x-httpd-php": "php",
    "text/yaml": "yaml yml",
    "application/toml": "toml",
    "application/gzip": "gz",
    "application/x-bzip2": "bz2",
    "application/x-xz": "xz",
    "application/x-7z-compressed": "7z",
    "application/vnd.rar": "rar",
    "application/java-archive": "jar war",
    "image/webp": "webp",
    "audio/wav": "wav",
    "audio/ogg": "ogg",
    "application/rtf": "rtf",
    "text/calendar": "ics",
    "font/ttf": "ttf",
    "font/otf": "otf",
    "font/woff": "woff",
    "font/woff2": "woff2",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": "pptx",
    "application/vnd.oasis.opendocument.text": "odt",
    "application/octet-stream": "iso img dmg deb msi "
    "py pyc tgz h5 rb bash go egg whl parquet pkl npy dat db mat m mdl diff patch",
    "application/x-x509-ca-cert": "pem crt",
    "application/wsdl+xml": "wsdl",
    "application/xslt+xml": "xslt",
    "application/xml-dtd": "dtd",
    "application/x-sh": "sh",
    "application/zip": "zip",
    "application/x-tar": "tar",
    "text/csv": "csv",
    "text/html": "html htm",
    "text/css": "css",
    "application/pdf": "pdf",
    "text/javascript": "js mjs",
    "application/sql": "sql",
    "application/pgp-keys": "asc",
    "audio/aac": "aac",
    "application/x-ipynb+json": "ipynb",
}


@pytest.mark.parametrize("mime", TYPES)
def test_extensions_on_which_tables_differ(mime: str) -> None:
    assert {extension: mime_of(f"a.{extension}") for extension in TYPES[mime].split()} == dict.fromkeys(
        TYPES[mime].split(), mime
    )


def test_the_table_is_whole() -> None:
    assert len(table()) == 1240
    assert len(set(table().values())) == 981


@pytest.mark.parametrize(
    ("name", "mime"),
    [
        ("J.JSON", "application/json"),
        ("a.tar.gz", "application/gzip"),
        ("zip", "application/zip"),
        ("json", "application/json"),
        (".txt", "text/plain"),
        ("a/json", UNKNOWN),
        ("a/.txt", UNKNOWN),
        ("a\\.txt", UNKNOWN),
        ("a/b.txt", "text/plain"),
        ("a\\b.txt", "text/plain"),
        ("a.b/c", UNKNOWN),
        ("a/", UNKNOWN),
        ("a.txt ", UNKNOWN),
        ("a.txt.", UNKNOWN),
        ("a\n/b.txt", "text/plain"),
        ("noext", UNKNOWN),
        ("", UNKNOWN),
        (".", UNKNOWN),
    ],
)
def test_the_rules_of_the_lookup(name: str, mime: str) -> None:
    assert mime_of(name) == mime
