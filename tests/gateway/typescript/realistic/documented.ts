/**
 * A job advertisement as it is published on the careers page.
 * Everything that the reader sees comes from here.
 */
export interface JobPosting {
  /** The title without the company's name, e.g. "Data Engineer". */
  title: string;

  /**
   * Two or three sentences that say what the job is about.
   *
   * @minLength 40
   * @maxLength 600
   */
  summary: string;

  /** How the contract is limited. */
  employment: Employment;

  /**
   * Hours in a week.
   * @asType integer
   * @minimum 1
   * @maximum 48
   */
  hours: number;

  /** What is paid, if the company says so. */
  salary?: Salary;

  /** Where the work is done. */
  locations: Location[];

  /**
   * What an applicant must bring, most important first.
   * @minItems 1
   */
  requirements: string[];

  /** What would be nice to have. */
  preferred?: string[];

  /**
   * Where to send an application.
   * @format email
   */
  contact: string;

  /**
   * The last day for applications.
   * @format date
   */
  deadline?: string | null;

  /** Whether the job can be done from home. @default false */
  remote: boolean;
}

/** How a contract is limited. */
export enum Employment {
  Permanent = "permanent",
  Temporary = "temporary",
  /** For students. */
  Internship = "internship",
}

/** A range of money for a time. */
export interface Salary {
  /**
   * The lower end.
   * @minimum 0
   */
  from: number;

  /**
   * The upper end.
   * @minimum 0
   */
  to?: number;

  /**
   * Three letters as in ISO 4217.
   * @pattern ^[A-Z]{3}$
   */
  currency: string;

  /** What the amounts are for. */
  per: "hour" | "month" | "year";
}

/** A place of work. */
interface Location {
  /** The city, in the language of the posting. */
  city: string;

  /** Two letters as in ISO 3166. */
  country: string;

  // shown on the map only
  street?: string;

  /** Degrees north. @minimum -90 @maximum 90 */
  latitude?: number;

  /** Degrees east. @minimum -180 @maximum 180 */
  longitude?: number;
}
