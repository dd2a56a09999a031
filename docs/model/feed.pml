/*
 * The feed of ended sessions up to the answer of /auth/verify: the transactions that end a session, the polls of each
 * instance, and a database that loses commits. README.md maps each step to the code and says what is left out.
 *
 * One session is enough: the feed treats each by itself, and other transactions matter only by the ids that they take.
 */

#ifndef INSTANCES
#define INSTANCES 2
#endif
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

mtype = { LIVE, OPEN, ENDED, ANSWERED_503, COMMITTED_LATE, END_LOST, ID_USED_AGAIN, ENDED_AGAIN, TOLD_BY_ANOTHER }

/* The database. OPEN: a transaction has ended the session, stamped the row, and not committed. */
byte history = 1;
byte nextXid = 1;
mtype session = LIVE;
byte xid; /* of the transaction that ended it */

/* What has happened; only the invariants read it. */
bool hasEnded; /* committed at some time */
bool isAcknowledged;
bool isLongAgo; /* acknowledged before the last tick */
byte highestXid;

/* An instance: the history and the snapshot of its last poll, whether it knows the end, and the poll under way. */
typedef Instance {
  byte history; /* NONE until the first poll */
  byte seen; /* the transactions that the snapshot saw */
  bool isStale;
  bool knows;
  byte pollHistory; /* NONE between two polls */
  byte pollSeen;
  bool pollFound;
  bool isPollStale
}
Instance instances[INSTANCES];
#define I instances[i]

/* Everything that ends the session, by any instance. */
active proctype End() {
  byte i;
end:
  do
  :: atomic {
      session == LIVE && nextXid <= XIDS ->
      if
      :: nextXid <= highestXid -> REACHED(ID_USED_AGAIN)
      :: else -> highestXid = nextXid
      fi;
      session = OPEN;
      xid = nextXid;
      nextXid++
#ifdef ANNOUNCE_BEFORE_COMMIT
      ;
      select (i : 0 .. INSTANCES - 1);
      I.knows = true;
      i = 0
#endif
    }
  :: atomic {
      session == OPEN ->
      session = ENDED;
      hasEnded = true
    }
  :: atomic { /* The connection, the instance or the database dies before the commit. */
      session == OPEN ->
      session = LIVE;
      xid = NONE
    }
  :: atomic { /* After the commit. Also the repetition by settle, and a logout that finds the session ended. */
      session == ENDED ->
      select (i : 0 .. INSTANCES - 1);
      if
      :: I.history != NONE ->
        I.knows = true;
        isAcknowledged = true
      :: else
      fi;
      i = 0
    }
  od
}

/* Other transactions take ids as well. */
active proctype OtherTransactions() {
end:
  do
  :: atomic {
      nextXid <= XIDS ->
      nextXid++;
      highestXid = (nextXid - 1 > highestXid -> nextXid - 1 : highestXid)
    }
  od
}

inline forget_poll(i) {
  I.pollHistory = NONE;
  I.pollSeen = 0;
  I.pollFound = false;
  I.isPollStale = false
}

/* Before the feed counts as current in another history: what this instance knows and the database has lost. */
inline end_again(i) {
  if
  :: I.knows && session == LIVE ->
    REACHED(ENDED_AGAIN);
    session = ENDED;
    xid = nextXid;
    nextXid++;
    isAcknowledged = true;
    isLongAgo = false
  :: else
  fi
}

#define IS_OTHER_HISTORY (I.pollHistory != I.history)
#define CAN_END_AGAIN \
  (I.pollHistory == history && (!I.knows || session == ENDED || (session == LIVE && nextXid <= XIDS)))

active [INSTANCES] proctype Poller() {
  byte i = _pid - 2;
end:
  do
  :: atomic { /* The statement reads. */
      I.pollHistory == NONE ->
#ifdef HISTORY_CHANGE_IGNORED
      I.pollHistory = (I.history == NONE -> history : I.history);
#else
      I.pollHistory = history;
      I.seen = (I.history == history -> I.seen : 0);
#endif
      I.pollSeen = BIT(nextXid) - 2;
      if
      :: session == ENDED && !HAS(I.seen, xid) ->
        I.pollFound = true;
        if
        :: !isAcknowledged && I.seen > BIT(xid) -> REACHED(COMMITTED_LATE)
        :: else
        fi
#ifndef CURSOR_BY_TIMESTAMP
      :: session == OPEN -> I.pollSeen = I.pollSeen & ~BIT(xid)
#endif
      :: else
      fi
    }
  :: atomic { /* Its result arrives. */
      I.pollHistory != NONE && (!IS_OTHER_HISTORY || CAN_END_AGAIN) ->
      if
      :: IS_OTHER_HISTORY -> end_again(i)
      :: else
      fi;
      if
      :: I.pollFound && !I.knows -> REACHED(TOLD_BY_ANOTHER)
      :: else
      fi;
      I.knows = I.knows || I.pollFound;
      I.history = I.pollHistory;
      I.seen = I.pollSeen;
      I.isStale = I.isPollStale;
      forget_poll(i)
    }
  :: atomic { /* The connection is lost: the next poll reads the whole window. */
      I.pollHistory != NONE ->
      forget_poll(i);
      I.seen = 0
    }
  :: atomic { /* The instance dies, and starts again. */
      I.history != NONE ->
      forget_poll(i);
      I.history = NONE;
      I.seen = 0;
      I.isStale = false;
      I.knows = false
    }
  od
}

/* A tick is longer than REVOCATION_MAX_STALENESS_SECONDS: what was read before it is stale. */
active proctype Clock() {
  byte i;
end:
  do
  :: atomic {
      isLongAgo = isAcknowledged;
      for (i : 0 .. INSTANCES - 1) {
        I.isStale = I.history != NONE;
        I.isPollStale = I.pollHistory != NONE
      }
      i = 0
    }
  od
}

/* A promotion, a restart after a crash, a restored backup. Ids that no kept commit has are handed out again. */
active proctype NewHistory() {
end:
  atomic {
    history++;
    if
    :: session == ENDED -> /* The end is lost as well. */
      REACHED(END_LOST);
      session = LIVE;
      isAcknowledged = false;
      isLongAgo = false
    :: session == OPEN -> session = LIVE
    :: session != OPEN
    fi;
    xid = (session == ENDED -> xid : NONE);
    do
    :: nextXid > xid + 1 -> nextXid--
    :: break
    od
  }
}

#ifdef STALE_NEWS_COUNT
#define ANSWERS (I.history != NONE)
#else
#define ANSWERS (I.history != NONE && !I.isStale)
#endif

/* /auth/verify: at any moment, at each instance. */
active [INSTANCES] proctype Verify() {
  byte i = _pid - INSTANCES - 4;
end:
  do
  :: ANSWERS && isLongAgo && !I.knows -> INVARIANT(4, false)
  /* The refresh token is dead as well. */
  :: ANSWERS && I.history == history && I.knows && session != ENDED -> INVARIANT(4, false)
  :: I.knows && !hasEnded -> INVARIANT(6, false)
#ifdef PROBE
  :: I.isStale -> REACHED(ANSWERED_503)
#endif
  od
}
