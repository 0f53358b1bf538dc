/** The form of `POST /v1/images/edits`: an image, perhaps a mask, and fields of text. */
import { IMAGE_BYTES_LIMIT } from '../../api/draw.ts';
import { type ImageRequest, parseEditFields } from '../../api/images.ts';
import { readBytes } from '../body.ts';
import { Failure } from '../failure.ts';

/** Two files, and the text beside them. */
const bodyLimit = 2 * IMAGE_BYTES_LIMIT + 200_000;

export interface EditForm {
  request: ImageRequest;
  image: Uint8Array;
  mask?: Uint8Array;
}

/**
 * Reads the form.
 * @param checked gets its fields before anything else reads them
 * @throws Failure 415 if there is none, 413 if it or a file in it is too large, 400 if it has not the right parts
 */
export async function readEditForm(
  request: Request,
  checked: (fields: Record<string, string>) => Promise<Record<string, string>>,
): Promise<EditForm> {
  const contentType = request.headers.get('content-type') ?? '';
  if (!/^multipart\/form-data\b/i.test(contentType)) {
    const sent = contentType ? `not ${contentType.slice(0, 100)}` : 'and the request names none';
    throw new Failure(
      'unsupported_content_type',
      `Edits take the content type multipart/form-data, ${sent}.`,
    );
  }
  const bytes = await readBytes(request, bodyLimit);
  const form = await new Response(bytes, { headers: { 'content-type': contentType } })
    .formData()
    .catch(() => {
      throw new Failure(
        'invalid_form',
        'The body is no form of the type multipart/form-data, or has a part cut off.',
      );
    });
  const fields: Record<string, string> = {};
  const files: Record<string, File> = {};
  for (const [given, value] of form) {
    const name = given === 'image[]' ? 'image' : given;
    const isFile = name === 'image' || name === 'mask';
    if (name in fields || name in files) {
      const why = name === 'image' ? 'one image is edited at a time' : 'it is given once';
      throw badPart(name, `\`${name}\` stands in the form more than once; ${why}.`);
    }
    if (isFile && typeof value === 'string') {
      throw badPart(name, `\`${name}\` has to be a file, and is a text. With curl: -F ${name}=@FILE.`);
    }
    if (!isFile && typeof value !== 'string')
      throw badPart(name, `\`${name}\` is a file; the files are image and mask.`);
    if (typeof value === 'string') fields[name] = value;
    else files[name] = value;
  }
  if (!files.image) throw badPart('image', '`image` is missing: the file to begin from.');
  for (const [name, { size }] of Object.entries(files)) {
    if (size === 0) throw badPart(name, `\`${name}\` is an empty file.`);
    if (size > IMAGE_BYTES_LIMIT) {
      throw new Failure(
        'image_too_large',
        `\`${name}\` is larger than ${IMAGE_BYTES_LIMIT} bytes, the most there may be.`,
        {
          param: name,
        },
      );
    }
  }
  return {
    request: parseEditFields(await checked(fields)),
    image: new Uint8Array(await files.image.arrayBuffer()),
    ...(files.mask && { mask: new Uint8Array(await files.mask.arrayBuffer()) }),
  };
}

const badPart = (param: string, message: string): Failure => new Failure('invalid_value', message, { param });
