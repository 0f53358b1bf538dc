/** The routes that write text. */
import {
  chatCompletionAnswer,
  chatCompletionChunk,
  completionAnswer,
  completionChunk,
} from '../api/answers.ts';
import { chatCompletionRequest, completionRequest } from '../api/openai.ts';
import { plainOptions } from '../api/plain.ts';
import { edgeModels } from './models.ts';
import { chatCompletions, completions } from './openai.ts';
import { events, json, type Route } from './route.ts';
import { text } from './text.ts';

const model = edgeModels[0].id;

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
    handler: text,
    group: 'For people',
    summary: 'Write on from a text, plainly',
    query: plainOptions,
    body: { 'text/plain': { description: 'The text to go on from.', example: 'Once upon a time' } },
    answers: { 200: { 'text/plain': { description: 'How it goes on, as it is written.' } } },
  },
];
