/** The routes of images, and the page that draws. */
import { imageFormats } from '../../api/draw.ts';
import {
  imageAddressAnswer,
  imageEvent,
  imageProgress,
  imagesAnswer,
  jobAnswer,
} from '../../api/image-answers.ts';
import { editForm, imageOptions, imageRequestSchema, imageRouteOptions } from '../../api/images.ts';
import page from '../draw.html';
import { showPage } from '../page.ts';
import { type Content, events, json, type Route } from '../route.ts';
import { imageFile } from './files.ts';
import { edits, generations } from './generations.ts';
import { getImage, postImage } from './image.ts';
import { cancelJob, readJob } from './jobs.ts';

const job = json('ImageJob', jobAnswer);
const drawn = {
  200: { ...json('Images', imagesAnswer), ...events('ImageEvent', imageEvent) },
  202: job,
};
const files: Content = Object.fromEntries(Object.values(imageFormats).map((type) => [type, {}]));
const options = imageOptions.omit({ prompt: true });
const form = { name: 'ImageOptions', schema: imageOptions };
const oneImage = {
  200: { ...files, ...json('ImageAddress', imageAddressAnswer), ...events('ImageProgress', imageProgress) },
};
const imageForms =
  'The `accept` header chooses the answer: the file (where it says nothing), `application/json` for its address, `text/event-stream` for how far it is, and then its address.';
const jobId = { id: 'As `POST /v1/images/generations?async=1` gave it.' };

export const imageRoutes: readonly Route[] = [
  {
    method: 'post',
    path: '/v1/images/generations',
    handler: generations,
    group: 'Images',
    summary: 'Draw images',
    description:
      "OpenAI's route, for its clients. Images are drawn on the service. With `stream` previews and progress come as events; with `?async=1` the answer is a job to look after.",
    query: imageRouteOptions,
    body: json('ImageRequest', imageRequestSchema, { prompt: 'red apple', size: '256x256', seed: 1 }),
    answers: drawn,
  },
  {
    method: 'post',
    path: '/v1/images/edits',
    handler: edits,
    group: 'Images',
    summary: 'Draw on from an image',
    description: 'Where there is a mask, only what is transparent or white in it is drawn anew.',
    query: imageRouteOptions,
    body: { 'multipart/form-data': { name: 'ImageEditForm', schema: editForm } },
    answers: drawn,
  },
  {
    method: 'get',
    path: '/v1/images/files/:name',
    handler: imageFile,
    group: 'Images',
    summary: 'An image that is kept for a while',
    description: 'Under the signed address that an answer with `"response_format": "url"`, or a job, gave.',
    parts: { name: 'As in the address.' },
    answers: { 200: files },
  },
  {
    method: 'get',
    path: '/v1/jobs/:id',
    handler: readJob,
    group: 'Images',
    summary: 'How a job stands',
    parts: jobId,
    answers: { 200: job },
  },
  {
    method: 'delete',
    path: '/v1/jobs/:id',
    handler: cancelJob,
    group: 'Images',
    summary: 'End a job',
    description: 'Says how it stands then: one that has ended already stays as it ended.',
    parts: jobId,
    answers: { 200: job },
  },
  {
    method: 'get',
    path: '/image/:prompt{.+}',
    handler: getImage,
    group: 'For people',
    summary: 'An image at an address of its own',
    description: `${imageForms} The ending (\`.png\`, \`.webp\`, \`.jpeg\`, \`.avif\`) is the format; without one it is what the caller accepts. With a seed the image is always the same, and is kept by every cache.`,
    parts: { prompt: 'What is to be drawn, and perhaps the ending of a format.' },
    query: options,
    answers: oneImage,
  },
  {
    method: 'post',
    path: '/image',
    handler: postImage,
    group: 'For people',
    summary: 'An image from a description in the body',
    description: `${imageForms} The options stand in the address, or beside the \`prompt\` in a form or in JSON.`,
    query: options,
    body: {
      'text/plain': { description: 'What is to be drawn.', example: 'red apple' },
      'application/x-www-form-urlencoded': form,
      'multipart/form-data': form,
      'application/json': { ...form, example: { prompt: 'red apple', size: '128x128', seed: 1 } },
    },
    answers: oneImage,
  },
  {
    method: 'get',
    path: '/draw',
    handler: (c) => showPage(c, page, {}, { images: true }),
    group: 'For people',
    summary: 'A page that draws',
    answers: { 200: { 'text/html': {} } },
  },
];
