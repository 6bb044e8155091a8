// Line icons on a field of 24, drawn here; they take the colour of the text.
const paths = {
    now: 'M3 13h4l3-8 4 14 3-6h4',
    settings: 'M4 7h10M18 7h2M4 17h2M10 17h10M16 4.5v5M8 14.5v5',
    registers: 'M4 5h16v14H4zM4 10h16M4 14.5h16M10 5v14',
    meter: 'M5 4h14v16H5zM8 8h8v4H8zM8.5 16h.01M12 16h.01M15.5 16h.01',
    system: 'M4 5h16v6H4zM4 13h16v6H4zM7.5 8h.01M7.5 16h.01M11 8h6M11 16h6',
    logout: 'M10 5H5v14h5M14 8l4 4-4 4M9 12h9',
    import: 'M12 4v14M6 12.5l6 6 6-6',
    export: 'M12 20V6M6 11.5l6-6 6 6',
    none: 'M5 12h14',
    ok: 'M5 12.5l4.5 4.5L19 7.5',
    warn: 'M12 4l9 16H3zM12 10v4.5M12 17.2v.1',
    bad: 'M6 6l12 12M18 6L6 18',
    info: 'M12 11v6M12 7.2v.1M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18',
    zoomIn: 'M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13M15.5 15.5L20 20M10.5 7.5v6M7.5 10.5h6',
    zoomOut: 'M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13M15.5 15.5L20 20M7.5 10.5h6',
    earlier: 'M14.5 5l-7 7 7 7',
    later: 'M9.5 5l7 7-7 7',
    whole: 'M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5',
    download: 'M12 4v11M7 10.5l5 5 5-5M5 20h14',
    copy: 'M9 9h11v11H9zM5 15H4V4h11v1',
} as const;

export type IconName = keyof typeof paths;

export function Icon({ name, size = 20 }: { name: IconName; size?: number }) {
    return (
        <svg class="icon" width={size} height={size} viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true" focusable="false">
            <path d={paths[name]} />
        </svg>
    );
}

export function Mark({ size = 32 }: { size?: number }) {
    return (
        <svg class="mark" width={size} height={size} viewBox="0 0 100 100" aria-hidden="true" focusable="false">
            <rect class="mark-field" width="100" height="100" rx="22" />
            <polyline class="mark-pulse" points="16,56 33,56 43,28 57,74 66,47 70,56 84,56" />
            <circle class="mark-dot" cx="84" cy="56" r="6.5" />
        </svg>
    );
}
