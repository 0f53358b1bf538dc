/** The routes that ask a text model for something else than an answer. */
import { detokenizeAnswer, embeddingsAnswer, templateAnswer, tokenizeAnswer } from '../api/answers.ts';
import { embeddingsRequest } from '../api/embeddings.ts';
import { moderationAnswer, moderationRequest } from '../api/moderations.ts';
import { detokenizeRequest, templateRequest, tokenizeRequest } from '../api/tokenization.ts';
import { embeddings } from './embeddings.ts';
import { edgeModels } from './models.ts';
import { moderations } from './moderations.ts';
import { json, type Route } from './route.ts';
import { applyTemplate, detokenize, tokenize } from './tokenization.ts';

const model = edgeModels[0].id;
const messages = [{ role: 'user', content: 'Tell a bedtime story about a rabbit.' }];

export const taskRoutes: readonly Route[] = [
  {
    method: 'post',
    path: '/v1/embeddings',
    handler: embeddings,
    group: 'Text',
    summary: 'Texts as vectors',
    description:
      "The mean of the model's last hidden states over the tokens, at length 1: the product of two vectors is the cosine of their angle. `dimensions` can only be the model's own.",
    body: json('EmbeddingsRequest', embeddingsRequest, { model, input: ['a rabbit', 'a hare'] }),
    answers: { 200: json('Embeddings', embeddingsAnswer) },
  },
  {
    method: 'post',
    path: '/v1/moderations',
    handler: moderations,
    group: 'Text',
    summary: 'Whether texts and images may be harmful',
    description:
      "OpenAI's thirteen categories, judged at the edge by wick-guard, which any of OpenAI's names of a moderation model stands for as well. A text of any length is read in windows, and has each category as much as the window that has it most. Several texts have a result each; parts (`text`, `image_url`) have one together. An image, sent as a `data:` address, is judged by the service's safety checker, of which the category `sexual` alone comes, 1 or 0; where there is none, the answer is 501.",
    body: json('ModerationRequest', moderationRequest, { input: 'We baked bread.' }),
    answers: { 200: json('Moderation', moderationAnswer) },
  },
  {
    method: 'post',
    path: '/tokenize',
    handler: tokenize,
    group: 'Tokens',
    summary: 'The tokens of a text or a conversation',
    description:
      "Takes vLLM's form (`prompt`, `add_special_tokens`) and llama.cpp's (`content`, `add_special`). Round a `prompt` the model's special tokens are put unless that is declined.",
    body: json('TokenizeRequest', tokenizeRequest, { prompt: 'Once upon a time', return_token_strs: true }),
    answers: { 200: json('Tokens', tokenizeAnswer) },
  },
  {
    method: 'post',
    path: '/detokenize',
    handler: detokenize,
    group: 'Tokens',
    summary: 'The text of tokens',
    body: json('DetokenizeRequest', detokenizeRequest, { tokens: [300, 301, 302] }),
    answers: { 200: json('Text', detokenizeAnswer) },
  },
  {
    method: 'post',
    path: '/apply-template',
    handler: applyTemplate,
    group: 'Tokens',
    summary: 'A conversation as the model reads it',
    body: json('TemplateRequest', templateRequest, { messages }),
    answers: { 200: json('Template', templateAnswer) },
  },
];
