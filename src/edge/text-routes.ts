/** The routes that write text. */
import { z } from 'zod';
import {
  chatCompletionAnswer,
  chatCompletionChunk,
  completionAnswer,
  completionChunk,
  textAnswer,
  textEvent,
} from '../api/answers.ts';
import { chatCompletionRequest, completionRequest } from '../api/openai.ts';
import { plainOptions } from '../api/plain.ts';
import { edgeModels } from './models.ts';
import { chatCompletions, completions } from './openai.ts';
import { events, json, type Route } from './route.ts';
import { getText, postText } from './text.ts';

const model = edgeModels[0].id;
const prompt = z.string().describe('The text to go on from.');
const form = { name: 'TextRequest', schema: plainOptions.extend({ prompt }) };
const textForms =
  'The `accept` header chooses the answer: plain text as it is written (where it says nothing), `application/json` for one object, `text/event-stream` for events.';
const textAnswers = {
  200: {
    'text/plain': { description: 'How it goes on, as it is written.' },
    ...json('WrittenText', textAnswer),
    ...events('WrittenTextEvent', textEvent),
  },
};

export const textRoutes: readonly Route[] = [
  {
    method: 'post',
    path: '/v1/chat/completions',
    handler: chatCompletions,
    group: 'Text',
    summary: 'Answer a conversation',
    description: "OpenAI's route, for its clients. With `stream` the answer comes as it is written.",
    body: json('ChatCompletionRequest', chatCompletionRequest, {
      model,
      messages: [{ role: 'user', content: 'Tell a bedtime story about a rabbit.' }],
      max_tokens: 120,
    }),
    answers: {
      200: {
        ...json('ChatCompletion', chatCompletionAnswer),
        ...events('ChatCompletionChunk', chatCompletionChunk),
      },
    },
  },
  {
    method: 'post',
    path: '/v1/completions',
    handler: completions,
    group: 'Text',
    summary: 'Write on from a text',
    description: "OpenAI's older route, which a model that knows no conversations is asked through as well.",
    body: json('CompletionRequest', completionRequest, {
      model,
      prompt: 'The dragon was not',
      max_tokens: 60,
      temperature: 0.7,
    }),
    answers: {
      200: { ...json('Completion', completionAnswer), ...events('CompletionChunk', completionChunk) },
    },
  },
  {
    method: 'post',
    path: '/text',
    handler: postText,
    group: 'For people',
    summary: 'Write on from a text, plainly',
    description: `The body is the text to go on from. ${textForms} The options stand in the address, or beside the \`prompt\` in a form or in JSON.`,
    query: plainOptions,
    body: {
      'text/plain': { description: 'The text to go on from.', example: 'Once upon a time' },
      'application/x-www-form-urlencoded': form,
      'multipart/form-data': form,
      'application/json': { ...form, example: { prompt: 'Once upon a time', max_tokens: 60 } },
    },
    answers: textAnswers,
  },
  {
    method: 'get',
    path: '/text',
    handler: getText,
    group: 'For people',
    summary: 'Write on from a text in the address',
    description: textForms,
    query: plainOptions.extend({ prompt }),
    answers: textAnswers,
  },
];
