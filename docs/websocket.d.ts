// The messages of latchkey's WebSocket connections. Made from /asyncapi.json; do not edit.
// Names that begin with Ha are messages of Home Assistant's own protocol.

/** Authenticates a client of the envelope, or renews its token. */
export type AuthMessage = {
  id?: string | number | null;
  payload: {
    token: string;
    [member: string]: unknown;
  };
  timestamp?: string;
  type: "auth";
};

/** Accepts a token. */
export type AuthOkMessage = {
  expires_in: number;
  ha_version: string;
  id: string | number | null;
  timestamp: string;
  type: "auth_ok";
  version: 1;
};

/** latchkey waits for a token, or the token expires. */
export type AuthRequiredMessage = {
  expires_in: number;
  ha_version?: string;
  id: null;
  reason: "unauthenticated" | "expiring" | "expired";
  timestamp: string;
  type: "auth_required";
};

/** A command. The payload has the members of the command. */
export type CommandMessage = {
  id?: string | number | null;
  payload?: Record<string, unknown>;
  timestamp?: string;
  type: string;
};

/** A refused message, or the reason why the connection is closed. */
export type ErrorMessage = {
  action: string;
  code: 4000 | 4001 | 4002 | 4003 | 1008 | 4029;
  id: string | number | null;
  message: string;
  name: "token-missing" | "token-malformed" | "token-expired" | "token-rejected" | "token-source-unavailable" | "home-banned" | "home-unreachable" | "home-starting" | "home-timeout" | "home-tls" | "home-edge-blocked" | "home-proxy-not-trusted" | "not-home-assistant" | "command-invalid" | "command-outcome-unknown" | "message-too-large" | "unauthenticated" | "forbidden" | "rate-limited" | "bad-request" | "not-found" | "unsupported-event" | "deadline-exceeded" | "internal";
  reconnect: boolean;
  timestamp: string;
  type: "error";
};

/** An event that a home has pushed. */
export type EventMessage = {
  event: {
    data: unknown;
    event_type: string;
  };
  id: null;
  timestamp: string;
  type: "event";
};

/** Authenticates a client of Home Assistant's protocol. */
export type HaAuthMessage = {
  access_token: string;
  type: "auth";
};

/** Refuses a token. The connection is closed. */
export type HaAuthInvalidMessage = {
  id: number | null;
  message: string;
  type: "auth_invalid";
};

/** Accepts a token. */
export type HaAuthOkMessage = {
  ha_version: string;
  id: number | null;
  type: "auth_ok";
};

/** A command of Home Assistant's WebSocket API. */
export type HaCommandMessage = {
  id: number;
  type: string;
  [member: string]: unknown;
};

/** Names the features of the client. */
export type HaFeaturesMessage = {
  features?: Record<string, unknown>;
  id: number;
  type: "supported_features";
};

/** The answer to a ping. */
export type HaPongMessage = {
  id: number;
  type: "pong";
};

/** The answer to a command. */
export type HaResultMessage = {
  id: number;
  result: unknown;
  success: true;
  type: "result";
} | {
  error: {
    code: string;
    message: string;
  };
  id: number | null;
  success: false;
  type: "result";
};

/** The answer to a ping. */
export type PongMessage = {
  id: string | number | null;
  timestamp: string;
  type: "pong";
};

/** The answer to a command. */
export type ResultMessage = {
  id: string | number | null;
  outcome: "answered";
  result: unknown;
  success: true;
  timestamp: string;
  type: "result";
} | {
  error: {
    code: string;
    message: string;
  };
  id: string | number | null;
  outcome: "answered" | "unknown";
  success: false;
  timestamp: string;
  type: "result";
};

/** Begins or ends the watch of entities. */
export type WatchMessage = {
  id?: string | number | null;
  payload: {
    resources: (string)[];
  };
  timestamp?: string;
  type: "watch" | "unwatch";
};

/** A message of a client. */
export type ClientMessage =
  | HaAuthMessage
  | HaFeaturesMessage
  | HaCommandMessage
  | AuthMessage
  | CommandMessage
  | WatchMessage;

/** A frame for a client. */
export type ServerMessage =
  | AuthRequiredMessage
  | HaAuthOkMessage
  | HaAuthInvalidMessage
  | AuthOkMessage
  | HaResultMessage
  | ResultMessage
  | HaPongMessage
  | PongMessage
  | ErrorMessage
  | EventMessage;
