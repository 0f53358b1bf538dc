/**
 * Content Credentials: a C2PA manifest in a drawn file, signed with the operator's key, which says that a model made it
 * (https://spec.c2pa.org, version 2.1). PNG and JPEG can carry one; in WebP and AVIF the library cannot write it, and
 * they have their XMP alone.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import type { Asset } from '@trustnxt/c2pa-ts/asset';
import type { ImageFormat } from '../api/draw.ts';
import { imageFormats } from '../api/draw.ts';
import { SOURCE_TYPE } from './image-provenance.ts';

/** Who signs, as PEM texts: the signer's certificate with those of its issuers behind it, and its key. */
export interface Credentials {
  certificate: string;
  key: string;
}

/** A file with its manifest, or as it was where its format can carry none. */
export type SignImage = (file: Buffer, format: ImageFormat) => Promise<Buffer>;

/** Bytes kept free for a signature: the longest, of RSA with 4096 bits, and what stands around it. */
const SIGNATURE_ROOM = 1024;

/**
 * Prepares the signing of images.
 * @throws Error if the library is not installed, or certificate and key are not right or do not belong together
 */
export async function imageSigner({ certificate, key }: Credentials): Promise<SignImage> {
  const { assets, manifests, cose, x509 } = await library();
  const privateKey = readKey(key);
  const chain = readCertificates(certificate);
  if (!chain[0].checkPrivateKey(privateKey))
    throw new Error('The key for Content Credentials is not that of the first certificate.');
  const [own, ...issuers] = chain.map(({ raw }) => new x509.X509Certificate(new Uint8Array(raw)));
  const algorithm = cose.CoseAlgorithmIdentifier[coseAlgorithm(privateKey)];
  const pkcs8 = new Uint8Array(privateKey.export({ type: 'pkcs8', format: 'der' }));
  const signer = new cose.LocalSigner(pkcs8, algorithm, own, issuers);
  const room = SIGNATURE_ROOM + chain.reduce((sum, { raw }) => sum + raw.length, 0);
  const carriers: Partial<Record<ImageFormat, new (bytes: Uint8Array) => Asset>> = {
    png: assets.PNG,
    jpeg: assets.JPEG,
  };
  return async (file, format) => {
    const Carrier = carriers[format];
    if (!Carrier) return file;
    const asset = new Carrier(new Uint8Array(file));
    const store = new manifests.ManifestStore();
    const manifest = store.createManifest({
      claimVersion: 1,
      assetFormat: imageFormats[format],
      instanceID: `xmp:iid:${crypto.randomUUID()}`,
      defaultHashAlgorithm: 'SHA-256',
      signer,
    });
    manifest.claim!.claimGeneratorName = 'wick';
    manifest.signature!.signatureData.paddingLength = room;
    const actions = new manifests.ActionAssertion();
    actions.actions.push({
      action: manifests.ActionType.C2paCreated,
      digitalSourceType: SOURCE_TYPE as never,
    });
    const binding = manifests.DataHashAssertion.create('SHA-256');
    manifest.addAssertion(actions);
    manifest.addAssertion(binding);
    await asset.ensureManifestSpace(store.measureSize());
    await binding.updateWithAsset(asset);
    await manifest.sign(signer);
    await asset.writeManifestJUMBF(store.getBytes());
    return Buffer.from(await asset.getDataRange());
  };
}

/** The library, which is an optional dependency: most who draw have no certificate. */
async function library() {
  try {
    const [assets, manifests, cose, x509] = await Promise.all([
      import('@trustnxt/c2pa-ts/asset'),
      import('@trustnxt/c2pa-ts/manifest'),
      import('@trustnxt/c2pa-ts/cose'),
      import('@peculiar/x509'),
    ]);
    return { assets, manifests, cose, x509 };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new Error(
      'Content Credentials need the packages @trustnxt/c2pa-ts and @peculiar/x509: npm install --include=optional.',
    );
  }
}

function readKey(pem: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch {
    throw new Error('The key for Content Credentials is no private key in PEM form without a passphrase.');
  }
}

function readCertificates(pem: string): X509Certificate[] {
  const texts = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  try {
    if (texts.length > 0) return texts.map((text) => new X509Certificate(text));
  } catch {
    // Told below.
  }
  throw new Error('The certificate for Content Credentials is none in PEM form.');
}

/** The algorithm that C2PA has for a kind of key. */
function coseAlgorithm({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject) {
  const curve = asymmetricKeyDetails?.namedCurve ?? '';
  const known = {
    'ec prime256v1': 'ES256',
    'ec secp384r1': 'ES384',
    'ec secp521r1': 'ES512',
    'ed25519 ': 'Ed25519',
    'rsa ': 'PS256',
    'rsa-pss ': 'PS256',
  } as const;
  const kind = `${asymmetricKeyType} ${curve}`;
  if (Object.hasOwn(known, kind)) return known[kind as keyof typeof known];
  throw new Error(
    `Content Credentials are signed with EC keys on P-256, P-384 or P-521, Ed25519 or RSA, not ${kind.trim()}.`,
  );
}
