// An address as a QR code, drawn as one path.
import qrcode from 'qrcode-generator';
import { t } from './i18n';

export function QrCode({ text }: { text: string }) {
    const code = qrcode(0, 'M');
    code.addData(text);
    code.make();
    const size = code.getModuleCount();
    const quiet = 4; // modules around it (ISO/IEC 18004, 6.3.8)
    let path = '';
    for (let y = 0; y < size; y++) {
        for (let x = 0; x < size; x++) {
            path += code.isDark(y, x) ? `M${x + quiet} ${y + quiet}h1v1h-1z` : '';
        }
    }
    const all = size + 2 * quiet;
    return (
        <svg class="qr" viewBox={`0 0 ${all} ${all}`} role="img" aria-label={t('system.qr', { address: text })} shape-rendering="crispEdges">
            <rect class="qr-field" width={all} height={all} />
            <path class="qr-dark" d={path} />
        </svg>
    );
}
