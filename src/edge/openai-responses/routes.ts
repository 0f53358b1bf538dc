/** The routes of OpenAI's Responses API. */

import { responsesRequest } from '../../api/responses/request.ts';
import { responseAnswer, responseDeleted, responseEvent, responseItems } from '../../api/responses/schema.ts';
import { edgeModels } from '../models.ts';
import { events, json, type Route } from '../route.ts';
import { createResponse } from './create.ts';
import { cancelKept, deleteKept, inputItems, inputItemsOptions, readKept } from './kept.ts';

const parts = { id: 'The id of a response that was kept.' };

export const responseRoutes: readonly Route[] = [
  {
    method: 'post',
    path: '/v1/responses',
    handler: createResponse,
    group: 'Text',
    summary: 'Answer, and keep the conversation',
    description:
      "OpenAI's newer route. A response is kept for a while unless `store` is false; `previous_response_id` goes on from one.",
    body: json('ResponseRequest', responsesRequest, {
      model: edgeModels[0].id,
      input: 'Tell a bedtime story about a rabbit.',
      max_output_tokens: 120,
    }),
    answers: { 200: { ...json('Response', responseAnswer), ...events('ResponseEvent', responseEvent) } },
  },
  {
    method: 'get',
    path: '/v1/responses/:id',
    handler: readKept,
    group: 'Text',
    summary: 'A response that was kept',
    parts,
    answers: { 200: json('Response', responseAnswer) },
  },
  {
    method: 'delete',
    path: '/v1/responses/:id',
    handler: deleteKept,
    group: 'Text',
    summary: 'Forget a response',
    parts,
    answers: { 200: json('ResponseDeleted', responseDeleted) },
  },
  {
    method: 'get',
    path: '/v1/responses/:id/input_items',
    handler: inputItems,
    group: 'Text',
    summary: 'What a response was given',
    parts,
    query: inputItemsOptions,
    answers: { 200: json('ResponseItems', responseItems) },
  },
  {
    method: 'post',
    path: '/v1/responses/:id/cancel',
    handler: cancelKept,
    group: 'Text',
    summary: 'Refused: nothing is made in the background',
    parts,
    answers: {},
  },
];
