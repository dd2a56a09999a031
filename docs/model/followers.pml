/*
 * A backend that follows the feed from one instance after another (GET /auth/revocations): the log of each instance and
 * the cursors. README.md maps each step to the code and says what is left out. Polls take no time here; feed.pml has
 * the time.
 */

#define SESSIONS 2
#define INSTANCES 2
#define XIDS 3

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
#define HAS(set, n) (((set) >> (n)) & 1)
#define NONE 0

mtype = { LIVE, OPEN, ENDED, ENDED_AGAIN, READ_ALL_AGAIN, READ_ELSEWHERE, READ_AHEAD }

/* The database. OPEN: a transaction has ended the session and not committed. */
byte history = 1;
byte nextXid = 1;
mtype state[SESSIONS] = LIVE;
byte xidOf[SESSIONS];

/* What has happened; only the invariants read it. */
byte everEnded;

/* An instance: the history and the snapshot of its last poll, and its log of ended sessions. */
typedef Instance {
  byte history;
  byte seen; /* the transactions that the snapshot saw */
  byte completeBefore;
  byte known;
  byte xid[SESSIONS];
  byte number[SESSIONS];
  byte lastNumber
}
Instance instances[INSTANCES];
#define I instances[i]

/* A backend: its set, and the cursor of its last answer. */
byte followed;
byte cursorHistory;
byte cursorXid;
byte cursorInstance = INSTANCES;
byte cursorNumber;

inline enter(i, session, xidOfEntry) {
  if
  :: !HAS(I.known, session) ->
    I.known = I.known | BIT(session);
    I.lastNumber++;
    I.number[session] = I.lastNumber;
    I.xid[session] = xidOfEntry
  :: else ->
    if
    :: I.xid[session] == NONE -> I.xid[session] = xidOfEntry
    :: else
    fi
  fi
}

inline choose_instance() {
  if
  :: i = 0
  :: i = 1
  fi
}

/* Everything that ends a session, by any instance. */
proctype Ends(byte s) {
  byte i;
end:
  do
  :: atomic {
      state[s] == LIVE && nextXid <= XIDS ->
      state[s] = OPEN;
      xidOf[s] = nextXid;
      nextXid++
    }
  :: atomic {
      state[s] == OPEN ->
      state[s] = ENDED;
      everEnded = everEnded | BIT(s)
    }
  :: atomic { /* The connection, the instance or the database dies before the commit. */
      state[s] == OPEN ->
      state[s] = LIVE;
      xidOf[s] = NONE
    }
  :: atomic { /* After the commit. Also the repetition by settle, and a logout that finds the session ended. */
      state[s] == ENDED ->
      choose_instance();
      if
      :: I.history != NONE ->
        enter(i, s, NONE)
      :: else
      fi;
      i = 0
    }
  od
}

/* One row of the poll. */
inline read(i, session) {
  if
  :: state[session] == ENDED && !HAS(I.seen, xidOf[session]) -> enter(i, session, xidOf[session])
  :: state[session] == OPEN ->
    seen = seen & ~BIT(xidOf[session]);
    xmin = (xidOf[session] < xmin -> xidOf[session] : xmin)
  :: else
  fi
}

/* Ends a session again that this instance knows as ended and that the database holds alive. */
inline end_again(i, session) {
#ifndef OLD_XIDS_KEPT
  I.xid[session] = NONE;
#endif
  if
  :: HAS(I.known, session) && state[session] == LIVE ->
    REACHED(ENDED_AGAIN);
    state[session] = ENDED;
    xidOf[session] = nextXid;
    nextXid++
  :: else
  fi
}

#define NEEDS_ENDING(session) (HAS(I.known, session) && state[session] == LIVE)
#define CAN_END_AGAIN \
  (nextXid + NEEDS_ENDING(0) + NEEDS_ENDING(1) <= XIDS + 1 \
    && !(HAS(I.known, 0) && state[0] == OPEN) && !(HAS(I.known, 1) && state[1] == OPEN))

#ifdef HISTORY_CHANGE_IGNORED
#define IS_ANOTHER_HISTORY (I.history == NONE)
#else
#define IS_ANOTHER_HISTORY (I.history != history)
#endif

proctype Poller(byte i) {
  byte seen;
  byte xmin;
end:
  do
  :: atomic {
      !IS_ANOTHER_HISTORY || CAN_END_AGAIN ->
      seen = BIT(nextXid) - 2;
      xmin = nextXid;
      if
      :: IS_ANOTHER_HISTORY ->
        I.seen = 0;
        I.history = history;
        end_again(i, 0);
        end_again(i, 1)
      :: else
      fi;
      read(i, 0);
      read(i, 1);
      I.seen = seen;
      I.completeBefore = xmin;
      seen = 0;
      xmin = 0
    }
  :: atomic { /* The instance dies, and starts again. */
      I.history != NONE ->
      I.history = NONE;
      I.seen = 0;
      I.completeBefore = 0;
      I.known = 0;
      I.xid[0] = NONE;
      I.xid[1] = NONE;
      I.number[0] = 0;
      I.number[1] = 0;
      I.lastNumber = 0;
      cursorInstance = (cursorInstance == i -> INSTANCES : cursorInstance)
    }
  od
}

/* A promotion, a restart after a crash, a restored backup. Ids that no kept commit has are handed out again. */
inline survive(session) {
  if
  :: state[session] == ENDED -> unused = (xidOf[session] >= unused -> xidOf[session] + 1 : unused)
  :: state[session] != LIVE -> /* rolled back, or lost as well */
    state[session] = LIVE;
    xidOf[session] = NONE
  :: else
  fi
}

active proctype NewHistory() {
  byte unused = 1;
end:
  atomic {
    history++;
    survive(0);
    survive(1);
    do
    :: nextXid > unused -> nextXid--
    :: break
    od;
    unused = 0
  }
}

#define UNREAD(session) \
  (HAS(I.known, session) \
    && (cursorHistory != I.history || cursorXid > I.completeBefore \
      || (cursorInstance == i && I.number[session] > cursorNumber) \
      || (cursorInstance != i && (I.xid[session] == NONE || I.xid[session] >= cursorXid))))

active proctype Follower() {
  byte i;
end:
  do
  :: atomic {
      choose_instance();
      if
      :: I.history != NONE ->
        if
        :: cursorHistory != I.history && followed != 0 -> REACHED(READ_ALL_AGAIN)
        :: cursorHistory == I.history && cursorXid > I.completeBefore -> REACHED(READ_AHEAD)
        :: cursorHistory == I.history && cursorInstance == 1 - i -> REACHED(READ_ELSEWHERE)
        :: else
        fi;
        followed = followed | (UNREAD(0) -> BIT(0) : 0) | (UNREAD(1) -> BIT(1) : 0);
        cursorHistory = I.history;
        cursorXid = I.completeBefore;
        cursorInstance = i;
        cursorNumber = I.lastNumber;
        INVARIANT(4, (I.known & ~followed) == 0);
        INVARIANT(6, (followed & ~everEnded) == 0)
      :: else
      fi;
      i = 0
    }
  od
}

init {
  atomic {
    run Ends(0);
    run Ends(1);
    run Poller(0);
    run Poller(1)
  }
}
