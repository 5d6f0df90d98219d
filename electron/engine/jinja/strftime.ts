// datetime.strftime in the C locale, with glibc's extensions: local time, no time zone (Python's naive datetime).
const weekdays = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
const months = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
];
const dayMs = 86_400_000;

/** A padded number: its value, its width, and what fills it. */
type Field = string | [value: number, width: number, fill?: string];

export function strftime(now: Date, format: string): string {
  return format.replace(/%([-_0^#]?)([a-zA-Z%])/g, (whole, flag: string, directive: string) => {
    const field = fieldOf(now, directive);
    if (field === null) return whole;
    const text = typeof field === 'string' ? field : pad(field, flag);
    return flag === '^' ? text.toUpperCase() : text;
  });
}

function pad([value, width, fill = '0']: Exclude<Field, string>, flag: string): string {
  if (flag === '-') return String(value);
  return String(value).padStart(width, flag === '_' ? ' ' : flag === '0' ? '0' : fill);
}

function fieldOf(now: Date, directive: string): Field | null {
  const [year, month, day, weekday] = [now.getFullYear(), now.getMonth(), now.getDate(), now.getDay()];
  const hour12 = now.getHours() % 12 || 12;
  const yearDay = Math.round((Date.UTC(year, month, day) - Date.UTC(year, 0, 1)) / dayMs);
  const iso = isoWeek(year, month, day);
  const part = (format: string) => strftime(now, format);
  switch (directive) {
    case 'a':
      return (weekdays[weekday] ?? '').slice(0, 3);
    case 'A':
      return weekdays[weekday] ?? '';
    case 'b':
      return (months[month] ?? '').slice(0, 3);
    case 'B':
      return months[month] ?? '';
    case 'c':
      return part('%a %b %e %H:%M:%S %Y');
    case 'C':
      return [Math.floor(year / 100), 2];
    case 'd':
      return [day, 2];
    case 'D':
      return part('%m/%d/%y');
    case 'e':
      return [day, 2, ' '];
    case 'f':
      return [now.getMilliseconds() * 1000, 6];
    case 'F':
      return part('%Y-%m-%d');
    case 'g':
      return [iso.year % 100, 2];
    case 'G':
      return [iso.year, 4];
    case 'h':
      return (months[month] ?? '').slice(0, 3);
    case 'H':
      return [now.getHours(), 2];
    case 'I':
      return [hour12, 2];
    case 'j':
      return [yearDay + 1, 3];
    case 'k':
      return [now.getHours(), 2, ' '];
    case 'l':
      return [hour12, 2, ' '];
    case 'm':
      return [month + 1, 2];
    case 'M':
      return [now.getMinutes(), 2];
    case 'n':
      return '\n';
    case 'p':
      return now.getHours() < 12 ? 'AM' : 'PM';
    case 'P':
      return now.getHours() < 12 ? 'am' : 'pm';
    case 'r':
      return part('%I:%M:%S %p');
    case 'R':
      return part('%H:%M');
    case 's':
      return [Math.floor(now.getTime() / 1000), 1];
    case 'S':
      return [now.getSeconds(), 2];
    case 't':
      return '\t';
    case 'T':
      return part('%H:%M:%S');
    case 'u':
      return [weekday || 7, 1];
    case 'U':
      return [Math.floor((yearDay + 7 - weekday) / 7), 2];
    case 'V':
      return [iso.week, 2];
    case 'w':
      return [weekday, 1];
    case 'W':
      return [Math.floor((yearDay + 7 - ((weekday + 6) % 7)) / 7), 2];
    case 'x':
      return part('%m/%d/%y');
    case 'X':
      return part('%H:%M:%S');
    case 'y':
      return [year % 100, 2];
    case 'Y':
      return [year, 1];
    case 'z':
      return '';
    case 'Z':
      return '';
    case '%':
      return '%';
    default:
      return null;
  }
}

/** ISO 8601: weeks begin on Monday; the first one holds the year's first Thursday. */
function isoWeek(year: number, month: number, day: number): { year: number; week: number } {
  const date = new Date(Date.UTC(year, month, day));
  date.setUTCDate(date.getUTCDate() + 4 - (date.getUTCDay() || 7));
  const first = Date.UTC(date.getUTCFullYear(), 0, 1);
  return { year: date.getUTCFullYear(), week: Math.floor((date.getTime() - first) / dayMs / 7) + 1 };
}
