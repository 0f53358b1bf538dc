/** What an answer has to be: constraints as a caller gives them. */

export type Constraint = (
  | { type: 'json_object' }
  /** A JSON Schema; which of its keywords are enforced stands in json-schema.ts. */
  | { type: 'json_schema'; schema: unknown }
  /** A regular expression of JavaScript's that the whole answer matches. */
  | { type: 'regex'; pattern: string }
  /** A grammar in GBNF or EBNF; its rule `root` is the answer. */
  | { type: 'grammar'; grammar: string }
  /** Free text with constrained stretches in it. */
  | { type: 'structural_tag'; format: StructuralFormat }
) & {
  /** Where it stood in the request, for errors: `response_format.json_schema.schema`. */
  at?: string;
};

export const constraintTypes = ['json_object', 'json_schema', 'regex', 'grammar', 'structural_tag'] as const;

export interface Tag {
  type: 'tag';
  begin: string;
  content: StructuralFormat;
  end: string;
}

export type StructuralFormat =
  | { type: 'const_string'; value: string }
  /** Any text in which none of these stands. In a tag it does not hold the tag's end either. */
  | { type: 'any_text'; excludes?: string[] }
  | { type: 'json_schema'; json_schema: unknown }
  | { type: 'regex'; pattern: string }
  | { type: 'grammar'; grammar: string }
  /** One after the other, or one of them. */
  | { type: 'sequence' | 'or'; elements: StructuralFormat[] }
  | Tag
  /** Free text in which, wherever one of the triggers stands, a tag follows that begins with it. */
  | {
      type: 'triggered_tags';
      triggers: string[];
      tags: Tag[];
      /** Whether it begins with a tag. */
      at_least_one?: boolean;
      /** Whether it ends with the first tag. */
      stop_after_first?: boolean;
    }
  | {
      type: 'tags_with_separator';
      tags: Tag[];
      separator: string;
      at_least_one?: boolean;
      stop_after_first?: boolean;
    };
