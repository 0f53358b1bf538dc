import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectKeyIdentifierExtension,
  X509CertificateGenerator,
} from '@peculiar/x509';
import { type Asset, JPEG, PNG } from '@trustnxt/c2pa-ts/asset';
import { SuperBox } from '@trustnxt/c2pa-ts/jumbf';
import { ActionAssertion, ManifestStore } from '@trustnxt/c2pa-ts/manifest';
import sharp from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
import type { DrawEvent } from '../../src/api/draw.ts';
import { type Credentials, imageSigner } from '../../src/service/image-credentials.ts';
import { startService } from '../fixtures/service.ts';
import { temporaryFolder } from '../fixtures/tiny.ts';
import { tinyImageModel } from '../fixtures/tiny-images.ts';

const pem = (kind: string, bytes: ArrayBuffer) =>
  `-----BEGIN ${kind}-----\n${Buffer.from(bytes)
    .toString('base64')
    .replace(/.{64}(?=.)/g, '$&\n')}\n-----END ${kind}-----\n`;

/** A signer's certificate and key, and its issuer's certificate behind it. */
async function makeCredentials(algorithm: EcKeyGenParams | RsaHashedKeyGenParams): Promise<Credentials> {
  const signingAlgorithm = { ...algorithm, hash: 'SHA-256' };
  const pair = () => crypto.subtle.generateKey(signingAlgorithm, true, ['sign', 'verify']);
  const [issuer, signer] = (await Promise.all([pair(), pair()])) as CryptoKeyPair[];
  const validity = { notBefore: new Date(Date.now() - 1e6), notAfter: new Date(Date.now() + 1e9) };
  const root = await X509CertificateGenerator.createSelfSigned({
    ...{ serialNumber: '01', name: 'CN=Root, O=wick', ...validity, signingAlgorithm, keys: issuer },
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign, true),
      await SubjectKeyIdentifierExtension.create(issuer.publicKey),
    ],
  });
  const own = await X509CertificateGenerator.create({
    ...{ serialNumber: '02', subject: 'CN=Signer, O=wick', issuer: root.subject, ...validity },
    ...{ signingAlgorithm, publicKey: signer.publicKey, signingKey: issuer.privateKey },
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension(['1.3.6.1.5.5.7.3.4']),
      await AuthorityKeyIdentifierExtension.create(issuer.publicKey),
      await SubjectKeyIdentifierExtension.create(signer.publicKey),
    ],
  });
  return {
    certificate: [own, root].map(({ rawData }) => pem('CERTIFICATE', rawData)).join(''),
    key: pem('PRIVATE KEY', await crypto.subtle.exportKey('pkcs8', signer.privateKey)),
  };
}

const carriers = { png: PNG, jpeg: JPEG } as const;

/** The manifests of a file, and whether they are valid for it. */
async function readManifests(file: Buffer, format: keyof typeof carriers) {
  const asset: Asset = new carriers[format](new Uint8Array(file));
  const store = ManifestStore.read(SuperBox.fromBuffer(Uint8Array.from(asset.getManifestJUMBF()!)));
  return { manifest: store.getActiveManifest()!, validation: await store.validate(asset) };
}

const picture = () =>
  sharp({ create: { width: 48, height: 32, channels: 3, background: { r: 200, g: 30, b: 30 } } });
const curve = { name: 'ECDSA', namedCurve: 'P-256' };
const rsa = {
  name: 'RSASSA-PKCS1-v1_5',
  modulusLength: 2048,
  publicExponent: new Uint8Array([1, 0, 1]),
  hash: 'SHA-256',
};

let credentials: Credentials;
beforeAll(async () => {
  credentials = await makeCredentials(curve);
});

describe('a signed image', () => {
  it.each([
    ['png', curve],
    ['jpeg', curve],
    ['png', { ...curve, namedCurve: 'P-384' }],
    ['jpeg', rsa],
  ] as const)('as %s says with a signature of %o that a model made it', async (format, algorithm) => {
    const sign = await imageSigner(await makeCredentials(algorithm));
    const plain = await picture().toFormat(format).toBuffer();
    const file = await sign(plain, format);
    const { manifest, validation } = await readManifests(file, format);
    expect(validation.isValid).toBe(true);
    expect(validation.statusEntries.map(({ code }) => code)).toContain('assertion.dataHash.match');
    const { actions } = manifest.assertions!.assertions.find(
      (each): each is ActionAssertion => each instanceof ActionAssertion,
    )!;
    expect(actions).toMatchObject([
      {
        action: 'c2pa.created',
        digitalSourceType: 'http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia',
      },
    ]);
    expect(await sharp(file).raw().toBuffer()).toEqual(await sharp(plain).raw().toBuffer());
  });

  it('does not hold when it is changed', async () => {
    const file = await (await imageSigner(credentials))(await picture().jpeg().toBuffer(), 'jpeg');
    file[file.length - 10] ^= 1;
    expect((await readManifests(file, 'jpeg')).validation.isValid).toBe(false);
  });

  it('is as it was where its format can carry no manifest', async () => {
    const file = await picture().webp().toBuffer();
    expect(await (await imageSigner(credentials))(file, 'webp')).toBe(file);
  });
});

describe('a certificate or key', () => {
  it('that is none, or not the other’s, is refused in a sentence', async () => {
    const other = await makeCredentials(curve);
    const wrong: [Partial<Credentials>, RegExp][] = [
      [{ key: 'secret' }, /no private key in PEM/],
      [{ certificate: 'hello' }, /none in PEM/],
      [{ certificate: '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----' }, /none in PEM/],
      [{ key: other.key }, /not that of the first certificate/],
    ];
    for (const [part, sentence] of wrong)
      await expect(imageSigner({ ...credentials, ...part })).rejects.toThrow(sentence);
  });
});

describe('wick serve', () => {
  it('signs what it draws, with what it was drawn by in the file as before', async () => {
    const folder = temporaryFolder();
    const files = { certificate: join(folder, 'chain.pem'), key: join(folder, 'key.pem') };
    writeFileSync(files.certificate, credentials.certificate);
    writeFileSync(files.key, credentials.key);
    const model = await tinyImageModel();
    const service = await startService(
      ...['--models', model, '--c2pa-certificate', files.certificate, '--c2pa-key', files.key],
    );
    try {
      const parameters = { num_inference_steps: 2, width: 64, height: 64 };
      const response = await service.ask('POST', '/v1/draw', {
        model: 'tiny-draw',
        prompt: 'a red circle',
        parameters,
      });
      const events = (await response.text())
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as DrawEvent);
      const image = events.find((event) => event.type === 'image')!;
      const file = Buffer.from(image.b64_json, 'base64');
      expect((await readManifests(file, 'png')).validation.isValid).toBe(true);
      expect(file.toString('latin1')).toContain('tEXtparameters\0a red circle');
      expect(file.toString('latin1')).not.toContain(folder);
    } finally {
      await service.stop();
    }
  });

  it('does not start with half of what it needs, or with a key that does not fit', async () => {
    const folder = temporaryFolder();
    const [certificate, key] = [join(folder, 'chain.pem'), join(folder, 'key.pem')];
    writeFileSync(certificate, credentials.certificate);
    writeFileSync(key, (await makeCredentials(curve)).key);
    const model = await tinyImageModel();
    const start = (...args: string[]) => startService('--models', model, ...args);
    await expect(start('--c2pa-key', key)).rejects.toThrow(/need both/);
    await expect(start('--c2pa-certificate', certificate, '--c2pa-key', 'nowhere.pem')).rejects.toThrow(
      /no file nowhere\.pem/,
    );
    await expect(start('--c2pa-certificate', certificate, '--c2pa-key', key)).rejects.toThrow(
      /not that of the first certificate/,
    );
  });
});
