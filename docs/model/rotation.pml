/*
 * The refresh tokens of one session, and what may happen to a refresh on its way. README.md maps each step to the code
 * and says what is left out.
 *
 * Tokens are numbered by generation. A key's number tells whose it is and for which token it was made: 1 to MOST are
 * the client's keys for the tokens 1 to MOST, the next MOST its second keys, the next MOST the thief's.
 */

/* The tokens 1 to MOST are presented; token MOST + 1 is only handed out. */
#define MOST 3

/* The row remembers the keys of so many rotations: of all that happen in the model. */
#ifndef HISTORY
#define HISTORY MOST
#endif
#ifdef NO_KEY_HISTORY
#undef HISTORY
#define HISTORY 1
#endif

/* Statements that run at the same time, besides the thief's. */
#ifdef LOSS
#define BACKENDS 1
#else
#define BACKENDS 2
#endif

#ifdef ONLY
#define INVARIANT(number, holds) assert(number != ONLY || (holds))
#else
#define INVARIANT(number, holds) assert(holds)
#endif

#ifdef PROBE
#define REACHED(event) assert(event != PROBE)
#else
#define REACHED(event) skip
#endif

#define BIT(n) (1 << (n))
#define TOKEN_OF(key) (((key) - 1) % MOST + 1)
#define SECOND_KEY(token) (MOST + (token))
#define THIEFS_KEY(token) (2 * MOST + (token))
#define NONE 0

mtype = {
  UNDECIDED, ROTATED, REPLAYED, REUSED, KEY_REUSED, ROLLED_FORWARD, ROLLED_BACK, ENDED_BY_REUSE, ENDED,
  LIVE, BY_REUSE, BY_ROLL_BACK, BY_LOGOUT,
  REPLAYED_TO_THIEF, OWN_LATE_ATTEMPT, KEY_OF_ANOTHER_TOKEN, CLIENT_TOOK_SECOND_KEY, SETTLED, WHOLE_AGAIN
}

/* The row. keys[g] is the key of the rotation that retired token g; REMEMBERS says whether the row still has it. */
byte generation = 1;
byte keys[MOST + 1];
mtype state = LIVE;
bool isLocked;

/* The client: its token, the key of its refresh under way, all keys that were ever sent, the answer that arrives. */
bool hasKeys;
byte token = 1;
byte asked;
byte sent;
mtype answer = UNDECIDED;

/* The thief: the tokens and the client's keys that it knows. */
byte stolen;
byte stolenKeys;

/* What has happened; only the invariants read it. */
byte handedOut = BIT(1);
bool hasThiefPresented;
bool isLoggedOut; /* acknowledged */
bool isEndLost; /* The same of the session's end. */
bool isLost; /* The database lacks rotations that it has acknowledged. */

#define IS_GRANT(verdict) (verdict == ROTATED || verdict == REPLAYED || verdict == ROLLED_FORWARD)
#define REMEMBERS(g, key) ((g) < generation && (g) + HISTORY >= generation && keys[g] == key)
#define HAS_SERVED(key) (REMEMBERS(1, key) || REMEMBERS(2, key) || REMEMBERS(3, key))
#define EXCHANGEABLE (handedOut >> generation)
#define AHEAD (handedOut >> (generation + 1))

/* After each statement, whether it was committed or not. */
inline check() {
  if
  :: isLost && AHEAD == 0 -> REACHED(WHOLE_AGAIN); isLost = false
  :: else
  fi;
  INVARIANT(1, isLost || state != LIVE || (EXCHANGEABLE & (EXCHANGEABLE - 1)) == 0);
  INVARIANT(5, isLost || AHEAD == 0)
}

/* The first case that matches decides. */
inline judge(g, key, verdict) {
  if
  :: state == BY_REUSE -> verdict = ENDED_BY_REUSE
  :: else -> if
  :: state != LIVE -> verdict = ENDED
  :: else -> if
  :: g == generation && HAS_SERVED(key) -> verdict = KEY_REUSED
  :: else -> if
  :: g == generation -> verdict = ROTATED
  :: else -> if
#ifdef REPLAY_WITHOUT_KEY
  :: g + 1 == generation -> verdict = REPLAYED
#else
  :: g + 1 == generation && keys[g] == key -> verdict = REPLAYED
#endif
  :: else -> if
  :: REMEMBERS(g, key) -> verdict = KEY_REUSED
  :: else -> if
  :: g < generation -> verdict = REUSED
  :: else ->
#ifdef ROLL_FORWARD_OFF
    verdict = ROLLED_BACK
#else
    verdict = ROLLED_FORWARD
#endif
  fi fi fi fi fi fi fi;
  INVARIANT(3, isLost || state != LIVE || g >= generation || keys[g] == key || verdict == REUSED);
  INVARIANT(4, !isLoggedOut || !IS_GRANT(verdict))
}

inline carry_out(g, key, verdict) {
  if
  :: verdict == ROTATED || verdict == ROLLED_FORWARD ->
    INVARIANT(2, keys[g] == NONE);
    keys[g] = key;
    generation = g + 1
  :: verdict == REUSED -> state = BY_REUSE
  :: verdict == ROLLED_BACK -> state = BY_ROLL_BACK
  :: else
  fi
}

#ifdef NO_ROW_LOCK
#define IS_FREE true
#else
#define IS_FREE !isLocked
#endif

/* After a commit the outcome reaches the instance and then the client, or is lost on the way. */
inline reply(key, verdict) {
  if
  :: asked == key && answer == UNDECIDED && verdict != UNDECIDED ->
    if
    :: answer = verdict;
      if
      :: IS_GRANT(verdict) -> handedOut = handedOut | BIT(TOKEN_OF(key) + 1)
      :: else
      fi
    :: unknown_outcome()
    fi
  :: else
  fi
}

/* The statement stays in `sent` and is executed again. With the fault, the client is told that nothing was done. */
inline unknown_outcome() {
#ifdef NO_SETTLE
  if
  :: !hasKeys -> asked = SECOND_KEY(token); sent = sent | BIT(asked)
  :: else
  fi
#else
  REACHED(SETTLED)
#endif
}

/* Executes what the client's refreshes have become: attempts, resends, repetitions, late duplicates. */
active [BACKENDS] proctype Backend() {
  byte key;
  mtype verdict = UNDECIDED;
end:
  do
  :: atomic {
      sent != 0 && IS_FREE ->
      isLocked = true;
      if
      :: sent & BIT(1) -> key = 1
      :: sent & BIT(2) -> key = 2
      :: sent & BIT(3) -> key = 3
      :: sent & BIT(4) -> key = 4
      :: sent & BIT(5) -> key = 5
      :: sent & BIT(6) -> key = 6
      fi;
      judge(TOKEN_OF(key), key, verdict)
    }
#ifdef ANSWER_BEFORE_COMMIT
    atomic { reply(key, verdict) }
#endif
    atomic {
      if
      :: carry_out(TOKEN_OF(key), key, verdict);
        REACHED(verdict);
        if
        :: verdict == KEY_REUSED && TOKEN_OF(key) < generation && !hasThiefPresented -> REACHED(OWN_LATE_ATTEMPT)
        :: else
        fi
      :: verdict = UNDECIDED /* The connection, the instance or the database dies before the commit. */
      fi;
      isLocked = false;
#ifndef ANSWER_BEFORE_COMMIT
      reply(key, verdict);
#endif
      check();
      key = NONE;
      verdict = UNDECIDED
    }
  od
}

/* Follows the algorithm of docs/api.md. A client without keys loses no answer of the service. */
active proctype Client() {
  if
  :: hasKeys = true
  :: hasKeys = false
  fi;
end:
  do
  :: atomic {
      asked == NONE && token <= MOST ->
      asked = token;
      sent = sent | BIT(asked)
    }
  :: atomic {
      IS_GRANT(answer) ->
      token = TOKEN_OF(asked) + 1;
      asked = NONE;
      answer = UNDECIDED
    }
  :: atomic {
      answer == KEY_REUSED ->
      REACHED(CLIENT_TOOK_SECOND_KEY);
      INVARIANT(6, hasThiefPresented);
      asked = SECOND_KEY(token);
      sent = sent | BIT(asked);
      answer = UNDECIDED
    }
  :: atomic {
      answer == REUSED || answer == ROLLED_BACK || answer == ENDED_BY_REUSE || answer == ENDED ->
      INVARIANT(3, isEndLost || state != LIVE);
      INVARIANT(6, hasThiefPresented || answer == ENDED || answer == ROLLED_BACK);
      break
    }
  :: atomic {
      hasKeys && answer != UNDECIDED -> /* It is lost, or comes too late: the client sends the same again. */
      sent = sent | BIT(asked);
      answer = UNDECIDED
    }
  od
}

/* Copies what the client stores, at any time, and presents it whenever it likes. */
active proctype Thief() {
  byte presented;
  byte key;
  mtype verdict = UNDECIDED;
end:
  do
  :: atomic { !(stolen & BIT(token)) -> stolen = stolen | BIT(token) }
  :: atomic {
      hasKeys && asked != NONE && !(stolenKeys & BIT(asked)) ->
      stolen = stolen | BIT(token);
      stolenKeys = stolenKeys | BIT(asked)
    }
  :: atomic {
      stolen & (BIT(1) | BIT(2) | BIT(3)) && IS_FREE ->
      isLocked = true;
      if
      :: stolen & BIT(1) -> presented = 1
      :: stolen & BIT(2) -> presented = 2
      :: stolen & BIT(3) -> presented = 3
      fi;
      if
      :: key = THIEFS_KEY(presented)
      :: stolenKeys & BIT(1) -> key = 1
      :: stolenKeys & BIT(2) -> key = 2
      :: stolenKeys & BIT(3) -> key = 3
      :: stolenKeys & BIT(4) -> key = 4
      :: stolenKeys & BIT(5) -> key = 5
      :: stolenKeys & BIT(6) -> key = 6
      fi;
      judge(presented, key, verdict);
      hasThiefPresented = true
    }
    atomic {
      carry_out(presented, key, verdict);
      if
      :: verdict == REPLAYED -> REACHED(REPLAYED_TO_THIEF)
      :: verdict == KEY_REUSED && presented == generation -> REACHED(KEY_OF_ANOTHER_TOKEN)
      :: else
      fi;
      isLocked = false;
      if
      :: IS_GRANT(verdict) ->
        stolen = stolen | BIT(presented + 1);
        handedOut = handedOut | BIT(presented + 1)
      :: else
      fi;
      check();
      presented = NONE;
      key = NONE;
      verdict = UNDECIDED
    }
  od
}

/* The user, an operator or another session ends the session. */
active proctype Logout() {
  atomic {
    IS_FREE ->
    if
    :: state == LIVE -> state = BY_LOGOUT
    :: else
    fi
  }
end:
  isLoggedOut = !isEndLost
}

#ifdef LOSS
/* The database goes back to an earlier state: a restored backup, a standby that lagged behind. */
active proctype Loss() {
  byte generationThen;
  mtype stateThen;
end:
  atomic { generationThen = generation; stateThen = state }
end_restore:
  atomic {
    IS_FREE ->
    isEndLost = state != stateThen;
    generation = generationThen;
    state = stateThen;
    if :: generation <= 1 -> keys[1] = NONE :: else fi;
    if :: generation <= 2 -> keys[2] = NONE :: else fi;
    if :: generation <= 3 -> keys[3] = NONE :: else fi;
    isLoggedOut = isLoggedOut && !isEndLost;
#ifndef LATE_AFTER_LOSS
    sent = (asked == NONE || answer != UNDECIDED -> 0 : BIT(asked));
#endif
    isLost = AHEAD != 0
  }
}
#endif
