/** Routes as an OpenAPI description (https://spec.openapis.org/oas/v3.1.1), its schemas made of the wire's own types. */
import { z } from 'zod';
import { errorAnswer } from '../../api/answers.ts';
import { errorCodes } from '../../api/error-codes.ts';
import type { Content, Media, Route } from '../route.ts';
import { fields, ownFields } from './fields.ts';
import { samples } from './samples.ts';

type JsonSchema = Record<string, unknown>;

export interface OpenApi {
  openapi: '3.1.1';
  info: { title: string; version: string; description: string };
  servers: { url: string }[];
  tags: { name: string }[];
  paths: Record<string, Record<string, object>>;
  components: { schemas: Record<string, JsonSchema>; responses: Record<string, object> };
}

/**
 * Describes routes.
 * @param origin where they are
 * @param model whose name stands in the examples
 * @throws Error if two different schemas bear one name
 */
export function describeRoutes(routes: readonly Route[], origin: string, model: string): OpenApi {
  const paths: OpenApi['paths'] = {};
  for (const route of routes) {
    const path = openPath(route.path);
    paths[path] ??= {};
    const examples = samples[`${route.method.toUpperCase()} ${route.path}`]?.map(({ source, ...sample }) => ({
      ...sample,
      source: source.replaceAll('ORIGIN', origin).replaceAll('MODEL', model),
    }));
    paths[path][route.method] = { ...operation(route), ...(examples && { 'x-codeSamples': examples }) };
  }
  return {
    openapi: '3.1.1',
    info: {
      title: 'wick',
      version: '1',
      description:
        "Text and images from models at the edge and on a service behind it. The routes under `/v1` are OpenAI's: its clients work with this address and `/v1` as their base URL.",
    },
    servers: [{ url: origin }],
    tags: [...new Set(routes.map(({ group }) => group))].map((name) => ({ name })),
    paths,
    components: { schemas: schemasOf(routes), responses: { Refusal: refusal } },
  };
}

/** `/v1/models/:id{.+}` as `/v1/models/{id}`. */
export const openPath = (path: string): string => path.replace(/:(\w+)(\{[^}]*\})?/g, '{$1}');

function operation(route: Route): object {
  const { method, path, group, summary, description, query, body, answers } = route;
  const told = Object.entries(answers).map(([status, content]) => [
    status,
    {
      description: status === '202' ? 'Taken, and not yet done.' : 'As it was asked for.',
      ...contentOf(content),
    },
  ]);
  return {
    operationId: `${method}${openPath(path).replace(/\W+(\w?)/g, (_, letter: string) => letter.toUpperCase())}`,
    tags: [group],
    summary,
    ...(description && { description }),
    parameters: [...partsOf(route), ...(query ? optionsOf(query) : [])],
    ...(body && { requestBody: { required: true, ...contentOf(body) } }),
    responses: {
      ...Object.fromEntries(told),
      '4XX': { $ref: '#/components/responses/Refusal' },
      '5XX': { $ref: '#/components/responses/Refusal' },
    },
  };
}

/** The parts of a path that stand for something. */
function partsOf({ path, parts = {} }: Route): object[] {
  return [...openPath(path).matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    ...(parts[name] && { description: parts[name] }),
    schema: { type: 'string' },
  }));
}

/** The options of a query string. Lists stand in it by being given more than once. */
function optionsOf(query: z.ZodObject): object[] {
  const { properties = {}, required = [] } = described(toJsonSchema(query)) as {
    properties?: Record<string, JsonSchema>;
    required?: string[];
  };
  return Object.entries(properties).map(([name, { description, ...schema }]) => ({
    name,
    in: 'query',
    required: required.includes(name),
    ...(description !== undefined && { description }),
    schema,
  }));
}

function contentOf(content: Content): { content: object } {
  const media = Object.entries(content).map(([type, each]) => [type, mediaOf(type, each)]);
  return { content: Object.fromEntries(media) };
}

function mediaOf(type: string, { name, description, example }: Media): object {
  const isText = /^text\/|json$/.test(type);
  const plain = {
    type: 'string',
    ...(isText ? {} : { contentMediaType: type }),
    ...(description && { description }),
  };
  return {
    schema: name ? { $ref: `#/components/schemas/${name}` } : type === 'application/json' ? {} : plain,
    ...(example !== undefined && { example }),
  };
}

/** All named schemas of the routes. */
function schemasOf(routes: readonly Route[]): Record<string, JsonSchema> {
  const named = new Map<string, z.ZodType>([['Error', errorAnswer]]);
  const asked = new Set<string | undefined>();
  for (const { body = {}, answers } of routes) {
    for (const { name } of Object.values(body)) asked.add(name);
    for (const content of [body, ...Object.values(answers)]) {
      for (const { name, schema } of Object.values(content)) {
        if (!name || !schema) continue;
        if (named.has(name) && named.get(name) !== schema)
          throw new Error(`Two schemas of the reference are named ${name}.`);
        named.set(name, schema);
      }
    }
  }
  return Object.fromEntries(
    [...named].map(([name, schema]) => {
      const json = toJsonSchema(schema);
      return [name, asked.has(name) ? described(json, ownFields[name]) : json];
    }),
  );
}

/** A request's schema, its fields with what they mean: what the schema itself says of one, or else the table. */
function described(schema: JsonSchema, own: Readonly<Record<string, string>> = {}): JsonSchema {
  const properties = (schema.properties ?? {}) as Record<string, JsonSchema>;
  const told = Object.entries(properties).map(([name, property]) => {
    const description = own[name] ?? fields[name];
    return [name, { ...(description && { description }), ...property }];
  });
  return { ...schema, properties: Object.fromEntries(told) };
}

/** What goes over the wire: before it is transformed, that is. */
function toJsonSchema(schema: z.ZodType): JsonSchema {
  const { $schema, ...rest } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' });
  return rest;
}

const refusal = {
  description: `A sentence about what is wrong, with the parameter that it is about and a code: ${Object.entries(
    errorCodes,
  )
    .map(([code, status]) => `\`${code}\` (${status})`)
    .join(', ')}. Where trying again makes sense, the header \`retry-after\` says in how many seconds.`,
  content: {
    'application/json': {
      schema: { $ref: '#/components/schemas/Error' },
      example: {
        error: {
          message: '`temprature` is not a parameter that wick knows. Did you mean `temperature`?',
          type: 'invalid_request_error',
          param: 'temprature',
          code: 'unknown_parameter',
        },
      },
    },
  },
};
