import { describe, expect, test } from "bun:test";
import { isForTheHost, settingLines } from "./host.ts";
import { type AptSource, formatSources, keyringsOf, parseSources } from "./sources.ts";
import { lacksSecurity, sourcesForSuite } from "./suites.ts";

const oneLine = `# a comment
deb http://deb.example/debian bookworm main contrib # behind
#deb http://off.example/debian bookworm main
deb [ arch=amd64,i386 signed-by=/k/a.gpg,/k/b.gpg lang+=de check-valid-until=no trusted=yes ] https://sec.example/ bookworm-security main
deb-src\thttp://deb.example/debian\tbookworm\tmain
deb [arch=amd64] file:/srv/flat ./
`;

const deb822 = `# a comment
Types: deb deb-src
URIs: http://deb.example/debian
# inside
Suites: bookworm bookworm-updates
Components: main
 contrib
Signed-By: /usr/share/keyrings/x.gpg

Enabled: no
Types: deb
URIs: http://off.example
Suites: bookworm
Components: main
   
types: deb
uris: https://key.example
suites: bookworm
components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mDMEYCQjIxYJKwYBBAHaRw8BAQdAD
 -----END PGP PUBLIC KEY BLOCK-----
`;

const plain = (source: AptSource) => ({ ...source, options: Object.fromEntries(source.options) });

describe("parseSources()", () => {
  test("reads the one-line format with its options under their other names", () => {
    const [first, second, third, flat, ...others] = parseSources(oneLine).map(plain);
    expect(others).toEqual([]);
    expect(first).toEqual({
      types: ["deb"],
      uris: ["http://deb.example/debian"],
      suites: ["bookworm"],
      components: ["main", "contrib"],
      options: {},
    });
    expect(second?.options).toEqual({
      Architectures: "amd64 i386",
      "Signed-By": "/k/a.gpg /k/b.gpg",
      "Languages-Add": "de",
      "Check-Valid-Until": "no",
      Trusted: "yes",
    });
    expect(third).toMatchObject({ types: ["deb-src"], suites: ["bookworm"] });
    expect(flat).toMatchObject({ uris: ["file:/srv/flat"], suites: ["./"], components: [] });
  });

  test("reads the deb822 format: several lines, keys inside, comments, what is turned off", () => {
    const [first, second, ...others] = parseSources(deb822).map(plain);
    expect(others).toEqual([]);
    expect(first).toMatchObject({
      types: ["deb", "deb-src"],
      suites: ["bookworm", "bookworm-updates"],
      components: ["main", "contrib"],
    });
    expect(second?.options["Signed-By"]).toStartWith("\n -----BEGIN PGP");
    expect(second?.options["Signed-By"]).toEndWith("-----END PGP PUBLIC KEY BLOCK-----");
  });

  test("reads back what formatSources() writes", () => {
    for (const text of [oneLine, deb822]) {
      const sources = parseSources(text);
      expect(parseSources(formatSources(sources)).map(plain)).toEqual(sources.map(plain));
    }
  });

  test("keyringsOf() finds files, and neither keys nor fingerprints", () => {
    expect(keyringsOf(parseSources(oneLine))).toEqual(["/k/a.gpg", "/k/b.gpg"]);
    expect(keyringsOf(parseSources(deb822))).toEqual(["/usr/share/keyrings/x.gpg"]);
    expect(keyringsOf(parseSources("deb [signed-by=0123456789ABCDEF0123456789ABCDEF01234567] http://a b c"))).toEqual(
      [],
    );
  });
});

describe("sourcesForSuite()", () => {
  const host = parseSources(`
deb http://deb.example/debian bookworm main non-free-firmware
deb http://deb.example/debian bookworm-updates main
deb http://deb.example/debian bookworm-backports main
deb http://sec.example/debian-security bookworm-security main
deb https://tool.example/node nodistro main
`);
  const suitesFor = (suite: string, sources = host, codename: string | undefined = "bookworm") =>
    sourcesForSuite(sources, suite, codename).map(({ uris, suites, components }) =>
      [...uris, ...suites, ...components].join(" "),
    );

  test("takes the host's as they are for its own suite, under either name", () => {
    expect(sourcesForSuite(host, "bookworm", "bookworm")).toEqual(host);
    const moving = parseSources("deb http://a stable main\ndeb http://b stable-security main");
    expect(sourcesForSuite(moving, "bookworm", "bookworm")).toEqual(moving);
  });

  test("changes the suite of what is the distribution's, and leaves the rest out", () => {
    expect(suitesFor("trixie")).toEqual([
      "http://deb.example/debian trixie main non-free-firmware",
      "http://deb.example/debian trixie-updates main",
      "http://sec.example/debian-security trixie-security main",
    ]);
  });

  test("knows that sid has no updates, and how older releases differ", () => {
    expect(suitesFor("sid")).toEqual(["http://deb.example/debian sid main non-free-firmware"]);
    expect(suitesFor("bullseye").at(-1)).toBe("http://sec.example/debian-security bullseye-security main");
    expect(suitesFor("buster")).toEqual([
      "http://deb.example/debian buster main",
      "http://deb.example/debian buster-updates main",
      "http://sec.example/debian-security buster/updates main",
    ]);
  });

  test("says nothing of hosts whose sources don't name their own release", () => {
    expect(suitesFor("bookworm", parseSources("deb http://tool.example nodistro main"))).toEqual([]);
    expect(suitesFor("trixie", parseSources("deb http://a unstable main"), undefined)).toEqual([
      "http://a trixie main",
    ]);
  });

  test("lacksSecurity() sees what a rewritten sid has not", () => {
    const fromSid = sourcesForSuite(parseSources("deb http://a sid main"), "bookworm", "trixie");
    expect(lacksSecurity(fromSid, "bookworm")).toBe(true);
    expect(lacksSecurity(fromSid, "sid")).toBe(false);
    expect(lacksSecurity(host, "bookworm")).toBe(false);
  });
});

describe("the host's apt settings", () => {
  const dump = `APT "";
Acquire "";
Acquire::AllowInsecureRepositories "0";
Acquire::AllowWeakRepositories "1";
Acquire::Check-Valid-Until "false";
Acquire::Changelogs::URI::Origin::Debian "https://x";
Acquire::http "";
Acquire::http::Proxy "http://proxy.example:3128/";
Acquire::http::Proxy::deb.example "DIRECT";
Acquire::https::Proxy "http://user:secret@proxy.example:3128/";
Acquire::http::Proxy-Auto-Detect "/usr/bin/auto-apt-proxy";
Acquire::https::CAInfo "/etc/ssl/own.pem";
Acquire::https::Verify-Peer "true";
Acquire::Retries "3";
Acquire::Languages:: "none";
Dir::Cache::pkgcache "";
`;

  test("settingLines() takes what reaching archives needs", () => {
    expect(settingLines(dump).filter((line) => !isForTheHost(line))).toEqual([
      'Acquire::AllowWeakRepositories "1";',
      'Acquire::Check-Valid-Until "false";',
      'Acquire::http::Proxy "http://proxy.example:3128/";',
      'Acquire::http::Proxy::deb.example "DIRECT";',
      'Acquire::https::Verify-Peer "true";',
      'Acquire::Retries "3";',
    ]);
  });

  test("isForTheHost() keeps passwords, programs and files of the host's out of the chroot", () => {
    expect(settingLines(dump).filter(isForTheHost)).toEqual([
      'Acquire::https::Proxy "http://user:secret@proxy.example:3128/";',
      'Acquire::http::Proxy-Auto-Detect "/usr/bin/auto-apt-proxy";',
      'Acquire::https::CAInfo "/etc/ssl/own.pem";',
    ]);
  });
});
