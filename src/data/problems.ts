/** What was wrong with the input: counted and named, while everything else goes on. */
export interface Problem {
  /** The file, or what stands in it after `#`. */
  source: string;
  kind:
    | 'nothing found'
    | 'unreadable'
    | 'unknown format'
    | 'wrong ending'
    | 'empty'
    | 'broken archive'
    | 'bad UTF-8'
    | 'too long'
    | 'not text'
    | 'broken record'
    | 'no text field'
    | 'nothing held out';
  detail: string;
  /** How many times, where one line of the report stands for many. */
  count?: number;
}

export type ReportProblem = (problem: Problem) => void;
